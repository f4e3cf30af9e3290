"""Checks foreign containers before a framework opens them: zip archives, and the pickles of ``.pth`` files.

``torch.load(weights_only=True)`` runs no code from a file, but still lets it ask for a terabyte of zeros; so the list of
what a file may name is shorter here, and an archive's members have to be the size that they claim.
"""

from __future__ import annotations

import io
import pickletools
import stat
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

from axialzoo.checkpoint.checkpoint_error import CheckpointError
from axialzoo.checkpoint.safe_open import check_regular

MAX_PICKLE = 16 << 20  # bytes
MAX_OPCODES = 4 << 20
STORAGES = ("Double", "Float", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
GLOBALS = frozenset(
    [
        "collections OrderedDict",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch Size",
        *(f"{module} {name}Storage" for module in ("torch", "torch.cuda") for name in STORAGES),
    ]
)
LEGACY_PICKLES = 5  # magic number, protocol, system, the object, the names of its storages


def check_archive(path) -> list[str]:
    """Check that a zip archive stores its members plainly, once each, with the right checksums, and return their names.

    Raises:
        CheckpointError: for compressed, encrypted, repeated, linked, oversized or damaged members.
    """
    path = Path(path)
    size = check_regular(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            odd = [member.filename[:80] for member in members if _is_odd(member)]
            if odd or len(set(names)) != len(names) or sum(member.file_size for member in members) > size:
                raise CheckpointError(
                    f"{path}: expected an archive of plainly stored members, found compressed, linked, repeated or oversized ones: "
                    f"{', '.join(odd[:5]) or 'names or sizes do not add up'}"
                )
            broken = archive.testzip()
    except CheckpointError:
        raise
    except Exception as error:  # zipfile raises many kinds on damaged archives
        raise CheckpointError(f"{path}: damaged archive: {error}; fetch or write it again") from None
    if broken is not None:
        raise CheckpointError(f"{path}: damaged: the checksum of {broken} does not match; fetch or write it again")
    return names


def check_torch_file(path) -> None:
    """Check that a ``.pth`` file, zip archive or older, names nothing but dictionaries and tensors.

    Raises:
        CheckpointError: naming what else it asks for.
    """
    path = Path(path)
    size = check_regular(path)
    with open(path, "rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
    if not zipped:
        with open(path, "rb") as file:
            _check_pickles(path, _Bounded(file, size), LEGACY_PICKLES)
        return
    pickles = [name for name in check_archive(path) if name.endswith(".pkl")]
    if len(pickles) != 1 or pickles[0].split("/")[1:] != ["data.pkl"]:
        raise CheckpointError(f"{path}: expected an archive with one data.pkl, as torch.save writes it, found {pickles[:5]}")
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(pickles[0]).file_size > MAX_PICKLE:
            raise CheckpointError(f"{path}: {pickles[0]} has more than {MAX_PICKLE} bytes; expected a state_dict")
        _check_pickles(path, io.BytesIO(archive.read(pickles[0])), 1)


class _Bounded:
    """File of `size` bytes, of which no more are read than it has: a stream that claims a longer text gets no memory for it."""

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.size, self.readline, self.tell = file, size, file.readline, file.tell

    def read(self, size: int) -> bytes:
        return self.file.read(min(size, self.size))


def _check_pickles(path: Path, file: Any, count: int) -> None:
    opcodes = 0
    try:
        for _ in range(count):
            for opcode, argument, _ in pickletools.genops(file):
                opcodes += 1
                if opcode.name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4"):
                    raise CheckpointError(f"{path}: holds more than weights: an object of a kind that torch.save does not write")
                _check_global(path, opcode.name, argument, GLOBALS)
                if opcodes > MAX_OPCODES:
                    raise CheckpointError(f"{path}: holds more than weights: expected at most {MAX_OPCODES} steps to read it")
    except CheckpointError:
        raise
    except Exception as error:  # pickletools raises many kinds on damaged streams
        raise CheckpointError(f"{path}: damaged, or not a file of torch.save: {str(error)[:200]}; fetch or write it again") from None


def _check_global(path: Path, opcode: str, argument: object, known: Collection[str]) -> None:
    if opcode == "GLOBAL" and argument not in known:
        name = str(argument).replace(" ", ".")[:120]
        raise CheckpointError(
            f"{path}: holds more than weights: it asks for {name}, and only dictionaries and dense tensors are read; "
            "save its state_dict alone: torch.save(model.state_dict(), path)"
        )


def _is_odd(member: zipfile.ZipInfo) -> bool:
    return (
        member.compress_type != zipfile.ZIP_STORED
        or member.file_size != member.compress_size
        or bool(member.flag_bits & 1)
        or stat.S_ISLNK(member.external_attr >> 16)
        or member.filename.startswith("/")
        or ".." in member.filename.split("/")
    )
