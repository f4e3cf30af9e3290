"""Weights: named tensors that a spec predicts, in safetensors files, with digests. No framework."""

from axialzoo.checkpoint.archive import check_archive, check_torch_file
from axialzoo.checkpoint.checkpoint_error import CheckpointError, UnsupportedVersionError
from axialzoo.checkpoint.config import Config, as_labels, default_config, describe_model
from axialzoo.checkpoint.folder import Checkpoint, config_from_metadata, load_checkpoint, save_checkpoint, to_metadata, validate_and_migrate
from axialzoo.checkpoint.safe_open import check_regular, read_small
from axialzoo.checkpoint.safetensors import Tensors, iter_and_release_pages, read_safetensors, write_safetensors
from axialzoo.checkpoint.tar import unpack_tar
from axialzoo.checkpoint.tensors import check_match, check_tensors, digest
from axialzoo.files import atomic_write

__all__ = [
    "Checkpoint", "CheckpointError", "Config", "UnsupportedVersionError", "Tensors", "as_labels", "check_archive", "check_match",
    "check_regular", "check_tensors", "check_torch_file", "validate_and_migrate", "config_from_metadata", "default_config",
    "describe_model", "digest", "load_checkpoint", "to_metadata", "read_safetensors", "read_small", "iter_and_release_pages",
    "save_checkpoint", "unpack_tar", "write_safetensors", "atomic_write",
]  # fmt: skip
