"""``.pth`` files: nothing in them runs, and what is odd about them is refused."""

from __future__ import annotations

import io
import pickletools
import random
import struct
import zipfile

import pytest
import torch

from axialzoo.checkpoint import CheckpointError, digest
from axialzoo.runtime.convert import read_any
from axialzoo.spec import SpecError
from axialzoo.torch.native import read_native
from tests.conversion import small
from tests.conversion.damaged import COUNTED, enough, flips, refused


def test_pickle_bombs_do_not_run(tmp_path):
    marker = tmp_path / "ran"
    command = f"touch {marker}"
    calls = {
        "os.system": ("posix", "system", command),
        "os.system by its other name": ("os", "system", command),
        "subprocess": ("subprocess", "getoutput", command),
        "eval": ("builtins", "eval", f"open({str(marker)!r}, 'w')"),
        "exec": ("__builtin__", "exec", f"open({str(marker)!r}, 'w')"),
        "getattr": ("builtins", "getattr", command),
        "torch.load": ("torch", "load", str(marker)),
        "torch.hub": ("torch.hub", "load", command),
        "a terabyte": ("builtins", "bytearray", 10**12),
        "a set": ("builtins", "set", ()),
        "a sparse tensor": ("torch._utils", "_rebuild_sparse_tensor", ()),
        "a nested name": ("torch", "nn.Module", ()),
    }
    for what, (module, name, argument) in calls.items():
        for protocol, stacked in ((2, False), (4, True)):
            stream = bomb(module, name, argument, protocol, stacked)
            pickletools.dis(stream, io.StringIO())  # it is a pickle
            for data in (
                zipped({"archive/data.pkl": stream, "archive/version": b"3\n"}),
                stream,
                b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19." + stream,
            ):
                path = tmp_path / "bomb.pth"
                path.write_bytes(data)
                refused(lambda path=path: read_any(path, "axial_resnet_cifar10_xs"), f"{what}, protocol {protocol}", "pickle")
                assert not marker.exists(), what


def test_truncated_and_flipped(good, tmp_path):
    data = (good / "model.pth").read_bytes()
    path = tmp_path / "model.pth"
    rng = random.Random(5)
    for place in sorted({0, 1, 2, 3, 4, 30, len(data) - 1, *(rng.randrange(len(data)) for _ in range(40))}):
        path.write_bytes(data[:place])
        refused(lambda: read_any(path), f"cut at {place}", "pth")
    with zipfile.ZipFile(good / "model.pth") as archive:
        inside = [
            place
            for member in archive.infolist()
            for place in range(
                data.index(archive.read(member), member.header_offset),
                data.index(archive.read(member), member.header_offset) + member.file_size,
            )
            if member.filename.endswith("data.pkl") or "/data/" in member.filename
        ]
    for place in rng.sample(inside, 60):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :])
        refused(lambda: read_any(path), f"bit flipped at {place}", "pth")


def test_a_flipped_bit_anywhere_is_refused_or_in_a_byte_that_means_nothing(good, tmp_path):
    """A zip file has bytes that nobody reads (dates, padding): with those flipped the very same weights come out."""
    config, tensors = read_any(good / "model.pth")
    path = tmp_path / "model.pth"
    for _, changed in flips((good / "model.pth").read_bytes(), 80, 6):
        path.write_bytes(changed)
        try:
            actual, arrays = read_any(path)
        except (CheckpointError, SpecError):
            COUNTED["pth"] += 1
            continue
        assert actual == config and digest(arrays) == digest(tensors)


def test_odd_archives(good, tmp_path):
    with zipfile.ZipFile(good / "model.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    prefix = next(iter(members)).split("/")[0]
    path = tmp_path / "model.pth"
    bomb_member = {f"{prefix}/data/0": b"\0" * (64 << 20)}
    link = zipfile.ZipInfo(f"{prefix}/data/0")
    link.external_attr = 0o120777 << 16
    cases: dict[str, bytes] = {
        "compressed": zipped(members, zipfile.ZIP_DEFLATED),
        "a bomb of 64 MiB in 64 KiB": zipped({**members, **bomb_member}, zipfile.ZIP_DEFLATED),
        "two pickles": zipped({**members, "other/data.pkl": members[f"{prefix}/data.pkl"]}),
        "no pickle": zipped({name: data for name, data in members.items() if not name.endswith(".pkl")}),
        "a storage is missing": zipped({name: data for name, data in members.items() if not name.endswith("data/0")}),
        "a storage is short": zipped({**members, f"{prefix}/data/0": members[f"{prefix}/data/0"][:-4]}),
        "a storage is long": zipped({**members, f"{prefix}/data/0": members[f"{prefix}/data/0"] + b"\0" * 4}),
        "outside": zipped({**members, "../../evil": b"x"}),
        "absolute": zipped({**members, "/evil": b"x"}),
        "empty": zipped({}),
        "not torch's": zipped({"hello.txt": b"hello"}),
        "a script": zipped({**members, f"{prefix}/constants.pkl": b"\x80\x02)."}),
        "a link": zipped({**{name: data for name, data in members.items() if not name.endswith("data/0")}, link: b"/etc/passwd"}),
    }
    pickled = members[f"{prefix}/data.pkl"]
    for size in (10**12, 2**62):
        claim = b"\x8a\x08" + size.to_bytes(8, "little")
        at = pickled.index(b"K", pickled.index(b"cpu"))
        cases[f"claims {size} values"] = zipped({**members, f"{prefix}/data.pkl": pickled[:at] + claim + pickled[at + 2 :]})
    for what, data in cases.items():
        path.write_bytes(data)
        refused(lambda: read_any(path), what, "pth")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tensors_that_are_not_weights(tmp_path):
    config = small.CONFIG
    whole = {name: torch.from_numpy(array) for name, array in small.tensors().items()}
    name = "stages.0.blocks.0.height.qkv.weight"
    shape = whole[name].shape
    replacements = {
        "stored once, claimed often": torch.zeros(1).expand(10**6, 10**6),
        "strided out of a little": torch.zeros(1).expand(shape),
        "integers": torch.zeros(shape, dtype=torch.int32),
        "bfloat16": torch.zeros(shape, dtype=torch.bfloat16),
        "complex": torch.zeros(shape, dtype=torch.complex64),
        "half": torch.zeros(shape, dtype=torch.float16),
        "not a tensor": [1.0, 2.0],
        "sparse": torch.zeros(shape).to_sparse(),
        "NaN": torch.full(shape, torch.nan),
        "scalar": torch.tensor(1.0),
        "on no device": torch.zeros(shape, device="meta"),
    }
    states: dict[str, object] = {what: {**whole, name: value} for what, value in replacements.items()}
    states |= {
        "a list": [whole],
        "a tensor": whole[name],
        "nothing": {},
        "numbers as names": dict(enumerate(whole.values())),
    }
    path = tmp_path / "model.pth"
    for what, state in states.items():
        for modern in (True, False):
            torch.save(state, path, _use_new_zipfile_serialization=modern)
            refused(lambda: read_native(path, config), f"{what}, zip={modern}", "pth")


def bomb(module: str, name: str, argument: object, protocol: int, stacked: bool) -> bytes:
    """A pickle that calls ``module.name(argument)``, written by hand."""

    def text(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()

    called = text(module) + text(name) + b"\x93" if stacked else f"c{module}\n{name}\n".encode()
    value = text(argument) if isinstance(argument, str) else b")" if argument == () else b"\x8a\x06" + int(argument).to_bytes(6, "little")  # type: ignore[call-overload]
    return b"\x80" + bytes([protocol]) + called + value + b"\x85R."


def zipped(members: dict, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_there_are_many_cases(request):
    enough(request, pickle=72, pth=150)
