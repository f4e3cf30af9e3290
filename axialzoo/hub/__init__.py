"""Loads and publishes weights: folders, the package, the Hugging Face Hub. No framework."""

from axialzoo.hub.card import EXAMPLES, examples_of, model_card, write_card
from axialzoo.hub.download import download
from axialzoo.hub.pretrained import BuildPlan, plan_build, reinitialised_names, same_architecture
from axialzoo.hub.push import push_saved, push_to_hub
from axialzoo.hub.resolve import fetch_checkpoint, resolve, weights_of

__all__ = [
    "EXAMPLES", "BuildPlan", "download", "examples_of", "fetch_checkpoint", "model_card", "push_saved", "push_to_hub",
    "reinitialised_names", "resolve", "same_architecture", "plan_build", "weights_of", "write_card",
]  # fmt: skip
