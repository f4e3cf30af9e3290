"""Where weights come from and go to: folders, the package, the Hugging Face Hub. No framework."""

from axialzoo.hub.card import EXAMPLES, examples_of, model_card, write_card
from axialzoo.hub.download import download
from axialzoo.hub.pretrained import Build, replaced, same_architecture, to_build
from axialzoo.hub.push import push_saved, push_to_hub
from axialzoo.hub.resolve import fetch_checkpoint, resolve, weights_of

__all__ = [
    "EXAMPLES", "Build", "download", "examples_of", "fetch_checkpoint", "model_card", "push_saved", "push_to_hub", "replaced", "resolve",
    "same_architecture", "to_build", "weights_of", "write_card",
]  # fmt: skip
