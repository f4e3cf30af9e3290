"""What weights are: named tensors that a spec predicts, in safetensors files, with digests. No framework."""

from axialzoo.checkpoint.archive import check_archive, check_torch_file
from axialzoo.checkpoint.card import model_card
from axialzoo.checkpoint.config import Config, as_labels, default_config
from axialzoo.checkpoint.errors import CheckpointError
from axialzoo.checkpoint.files import check_regular, read_small, written_beside
from axialzoo.checkpoint.folder import Checkpoint, checked, config_in, load_checkpoint, metadata_of, save_checkpoint
from axialzoo.checkpoint.hub import push_to_hub
from axialzoo.checkpoint.pretrained import Plan, plan, replaced
from axialzoo.checkpoint.safetensors import Tensors, read_safetensors, released, write_safetensors
from axialzoo.checkpoint.source import resolve
from axialzoo.checkpoint.tar import unpack_tar
from axialzoo.checkpoint.tensors import check_match, check_tensors, digest

__all__ = [
    "Checkpoint", "CheckpointError", "Config", "Plan", "Tensors", "as_labels", "check_archive",
    "check_match", "check_regular", "check_tensors",
    "check_torch_file", "checked", "config_in", "default_config", "digest", "load_checkpoint", "metadata_of", "model_card", "plan",
    "push_to_hub", "read_safetensors", "read_small", "released", "replaced", "resolve", "save_checkpoint",
    "unpack_tar", "write_safetensors", "written_beside",
]  # fmt: skip
