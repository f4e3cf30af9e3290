"""What weights are: named tensors that a spec predicts, in safetensors files, with digests. No framework."""

from axialzoo.checkpoint.archive import check_archive, check_torch_file
from axialzoo.checkpoint.checkpoint_error import CheckpointError, ForeignVersion
from axialzoo.checkpoint.config import Config, as_labels, default_config, describe_model
from axialzoo.checkpoint.folder import Checkpoint, checked, config_in, load_checkpoint, metadata_of, save_checkpoint
from axialzoo.checkpoint.safe_open import check_regular, read_small
from axialzoo.checkpoint.safetensors import Tensors, read_safetensors, released, write_safetensors
from axialzoo.checkpoint.tar import unpack_tar
from axialzoo.checkpoint.tensors import check_match, check_tensors, digest
from axialzoo.files import written_beside

__all__ = [
    "Checkpoint", "CheckpointError", "Config", "ForeignVersion", "Tensors", "as_labels", "check_archive", "check_match", "check_regular",
    "check_tensors", "check_torch_file", "checked", "config_in", "default_config", "describe_model", "digest", "load_checkpoint",
    "metadata_of", "read_safetensors", "read_small", "released", "save_checkpoint", "unpack_tar", "write_safetensors", "written_beside",
]  # fmt: skip
