"""Reading and writing of TF2 object-graph checkpoints (`tf.train.Checkpoint`) as named arrays. Functions import TensorFlow."""

from __future__ import annotations

import math
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from axialzoo.checkpoint import CheckpointError, check_regular, read_small, unpack_tar

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
STATE, INDEX = "checkpoint", ".index"  # the file that names the latest checkpoint; the suffix of the index of a checkpoint
ARCHIVES = (".tar", ".tar.gz", ".tgz")
STEM = "ckpt-0"  # name of a written checkpoint


@dataclass(frozen=True)
class TF2Checkpoint:
    """An open checkpoint.

    Attributes:
        prefix: Its path without ``.index``.
        shapes: Shape of every variable, by its key without `SUFFIX`.
        read: Returns the array of a key.
    """

    prefix: Path
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]


@contextmanager
def opened(path) -> Iterator[TF2Checkpoint]:
    """Open the checkpoint at `path`: a prefix (``ckpt-60000``), a folder, or a ``.tar``, ``.tar.gz`` or ``.tgz`` of one.

    Raises:
        CheckpointError: for no or several checkpoints, for damage, and for a hostile archive.
        ModuleNotFoundError: without TensorFlow.
    """
    path = Path(path)
    if path.name.endswith(ARCHIVES) and not path.is_dir():
        with tempfile.TemporaryDirectory(prefix="axialzoo-") as folder:
            files = unpack_tar(path, folder)
            yield _open(path, _prefix_among(path, [file for file in files if file.suffix == INDEX]))
    else:
        yield _open(path, find_prefix(path))


def find_prefix(path: Path) -> Path:
    """Return the prefix of the checkpoint at `path`, without ``.index``."""
    if path.is_dir():
        return _prefix_among(path, sorted(path.glob(f"*{INDEX}")))
    prefix = path.with_name(path.name.removesuffix(INDEX))
    check_regular(prefix.with_name(prefix.name + INDEX), "expected the prefix of a TF2 checkpoint (ckpt-60000), its folder or its archive")
    return prefix


def _prefix_among(where: Path, indices: list[Path]) -> Path:
    """Return the checkpoint that the file ``checkpoint`` in its folder names, else the only checkpoint."""
    indices = [index for index in indices if not index.name.startswith(".")]
    named = {index for index in indices if index.name == _latest(index.parent) + INDEX}
    candidates = sorted(named) or indices
    if len(candidates) != 1:
        names = ", ".join(index.name for index in candidates) or "none"
        state = next((index.parent / STATE for index in indices if (index.parent / STATE).exists()), None)
        why = f" and {state.name} names {_latest(state.parent)!r}" if state is not None and not named else ""
        raise CheckpointError(f"{where}: expected one TF2 checkpoint (NAME{INDEX}), found {names}{why}; give the path of one: {where}/NAME")
    return candidates[0].with_suffix("")


def _latest(folder: Path) -> str:
    """Return the name of the latest checkpoint by the file ``checkpoint``; its folder may have been moved since."""
    if not (folder / STATE).exists():
        return ""
    text = read_small(folder / STATE, 1 << 20).decode(errors="replace")
    match = re.search(r'^\s*model_checkpoint_path:\s*"([^"\\]*)"', text, re.MULTILINE)
    return match[1].rpartition("/")[2] if match else ""


def _open(where: Path, prefix: Path) -> TF2Checkpoint:
    data = sorted(prefix.parent.glob(f"{_escaped(prefix.name)}.data-*-of-*"))
    if not data:
        raise CheckpointError(f"{where}: expected {prefix.name}.data-00000-of-00001 beside {prefix.name}{INDEX}, found none; copy both")
    size = sum(check_regular(file) for file in [*data, prefix.with_name(prefix.name + INDEX)])
    tf = _tensorflow()
    with _damage_named(where):
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = {key: tuple(shape) for key, shape in reader.get_variable_to_shape_map().items()}
        dtypes = reader.get_variable_to_dtype_map()
    if GRAPH not in shapes:
        raise CheckpointError(f"{where}: expected a TF2 object-graph checkpoint, found one of TensorFlow 1 (no {GRAPH})")
    odd = [key for key in shapes if key != GRAPH and not key.endswith(SUFFIX)]
    odd += [key for key, shape in shapes.items() if math.prod(shape) * dtypes[key].size > size and key != GRAPH]
    if odd:
        raise CheckpointError(f"{where}: expected variables no larger than the file, under names that end in {SUFFIX}, found {odd[:10]}")

    def read(key: str) -> np.ndarray:
        with _damage_named(where):
            array = reader.get_tensor(key + SUFFIX)
        return np.asarray(array)

    return TF2Checkpoint(prefix, {key.removesuffix(SUFFIX): shape for key, shape in shapes.items() if key != GRAPH}, read)


def write_checkpoint(folder, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint ``ckpt-0`` and the file ``checkpoint`` to a new `folder`, completely or not at all.

    Args:
        arrays: Arrays by key without `SUFFIX`; slashes in keys form the object graph.

    Raises:
        CheckpointError: where `folder` exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: expected a folder that is new or empty, found one that is not; name another")
    tf = _tensorflow()
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".{secrets.token_hex(6)}.{folder.name}"
    beside.mkdir()
    try:
        with tf.device("CPU:0"):
            root = tf.train.Checkpoint()
            for key, array in arrays.items():
                *path, leaf = key.split("/")
                node = root
                for part in path:
                    if not hasattr(node, part):
                        setattr(node, part, tf.Module())
                    node = getattr(node, part)
                setattr(node, leaf, tf.Variable(np.asarray(array)))
            root.write(str(beside / STEM))
        (beside / STATE).write_text(f'model_checkpoint_path: "{STEM}"\nall_model_checkpoint_paths: "{STEM}"\n')
        for file in beside.iterdir():
            with open(file, "rb+") as written:
                os.fsync(written.fileno())
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


@contextmanager
def _damage_named(where: Path) -> Iterator[None]:
    """Turn TensorFlow's many errors on damaged files into `CheckpointError`."""
    try:
        yield
    except Exception as error:
        raise CheckpointError(f"{where}: damaged, or not a TF2 checkpoint: {str(error)[:300]}; fetch or write it again") from None


def _tensorflow() -> ModuleType:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        if error.name != "tensorflow":
            raise
        raise ModuleNotFoundError("TF2 checkpoints need TensorFlow: pip install 'axialzoo[keras-tensorflow]'", name="tensorflow") from None
    return tensorflow
