"""Damaged and hostile files are refused with a clear error: nothing crashes, hangs, allocates what it claims, or loads.

Every check counts its cases; `test_there_are_at_least_500_cases` adds them up.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import random
import struct
import time
import tracemalloc
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import CheckpointError, Config, digest, load_checkpoint, save_checkpoint, write_safetensors
from axialzoo.runtime.convert import read_any, write_any
from axialzoo.spec import SpecError, entry
from tests.conversion import small

SECONDS, MEBIBYTES = 10, 48  # a case takes milliseconds and a few hundred kilobytes; claims below are of gigabytes and more
COUNTED: Counter[str] = Counter()


def refused(read: Callable[[], object], what: str, kind: str) -> None:
    """Asserts that `read` raises one of our errors, quickly and in little memory, and counts it."""
    tracemalloc.start()
    start = time.monotonic()
    try:
        read()
    except (CheckpointError, SpecError) as error:
        assert len(str(error)) > 20, what
    except BaseException as error:
        raise AssertionError(f"{what}: expected a CheckpointError, found {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{what}: was loaded")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert time.monotonic() - start < SECONDS, what
    assert peak < MEBIBYTES << 20, f"{what}: allocated {peak >> 20} MiB"
    COUNTED[kind] += 1


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    small.write_folder(folder)
    for name in ("lone.safetensors", "model.pth"):
        write_any(folder / name, *read_any(folder))
    load_checkpoint(folder)
    return folder


@pytest.fixture
def copy(good, tmp_path) -> Path:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((good / name).read_bytes())
    return tmp_path


def split(data: bytes) -> tuple[dict, bytes]:
    """Header and tensors of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join(header: object, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
    return struct.pack("<Q", len(text)) + text + body


def boundaries(data: bytes) -> Iterator[int]:
    """Where a header's parts begin and end: its length, each bracket, colon and comma, each tensor."""
    header, _ = split(data)
    (length,) = struct.unpack("<Q", data[:8])
    yield from range(9)
    yield from (8 + at for at in range(length) if data[8 + at : 9 + at] in b"{}[]:,")
    yield 8 + length
    yield from (8 + length + entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")


def test_truncated_at_every_header_boundary_and_at_random_points(copy):
    path = copy / "model.safetensors"
    data = path.read_bytes()
    rng = random.Random(0)
    places = {*itertools.islice(boundaries(data), 0, None, 3), *range(9), *(rng.randrange(len(data)) for _ in range(60)), len(data) - 1}
    for place in sorted(places - {len(data)}):
        path.write_bytes(data[:place])
        refused(lambda: load_checkpoint(copy), f"cut at {place}", "truncated")
    for more in (b"\0", data):
        path.write_bytes(data + more)
        refused(lambda: load_checkpoint(copy), "bytes after the end", "truncated")


def flips(data: bytes, count: int, seed: int) -> Iterator[tuple[int, bytes]]:
    rng = random.Random(seed)
    for place in sorted(rng.sample(range(len(data)), min(count, len(data)))):
        yield place, data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def same_number(data: bytes, place: int, changed: bytes) -> bool:
    """Whether the flip is the only one that changes nothing: the exponent of 1e-05 written 1E-05."""
    return {data[place : place + 1], changed[place : place + 1]} == {b"e", b"E"} and data[place + 1 : place + 2] == b"-"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_flipped_bit_anywhere_in_a_folder_is_refused(copy, name):
    data = (copy / name).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0] if name.endswith("safetensors") else len(data)
    places = [*flips(data[:start], 130, 1), *((start + place, data[:start] + changed) for place, changed in flips(data[start:], 60, 2))]
    for place, changed in places:
        whole = changed if place >= start else changed + data[start:]
        (copy / name).write_bytes(whole)
        if same_number(data, place, whole):
            continue
        refused(lambda: load_checkpoint(copy), f"{name}, bit flipped at {place}", "flipped")


@pytest.mark.full
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_flipped_bit_of_every_byte_of_a_folder_is_refused(copy, name):
    data, config = (copy / name).read_bytes(), load_checkpoint(copy).config
    for place, bit in zip(range(len(data)), itertools.cycle((5, 0, 7, 2, 4, 1, 6, 3, 0))):
        changed = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
        (copy / name).write_bytes(changed)
        if same_number(data, place, changed):
            assert load_checkpoint(copy).config == config
            continue
        refused(lambda: load_checkpoint(copy), f"{name}, bit {bit} flipped at {place}", "flipped")


def test_a_flipped_bit_of_a_lone_file_is_refused(good, tmp_path):
    path = tmp_path / "lone.safetensors"
    data = (good / path.name).read_bytes()
    for place, changed in flips(data, 80, 3):
        path.write_bytes(changed)
        if same_number(data, place, changed):
            continue
        refused(lambda: read_any(path), f"bit flipped at {place}", "flipped")


def test_the_digest_and_not_luck_sees_flipped_data(copy):
    """With the digest left out of the check, a flipped mantissa bit is loaded: the check is what refuses it."""
    path = copy / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes(data)
    load_checkpoint(copy, verify=False)
    with pytest.raises(CheckpointError, match="expected digest sha256:"):
        load_checkpoint(copy)


HUGE = (2**31, 2**40, 2**47, 2**63, 2**64, 10**30)


def hostile_headers(header: dict, body: bytes) -> Iterator[tuple[str, bytes]]:
    names = [name for name in header if name != "__metadata__"]
    first, second = names[:2]
    total = len(body)

    def with_entry(name: str, **changes) -> dict:
        return {**header, name: {**header[name], **changes}}

    for length in (0, 1, 2, len(json.dumps(header)) - 1, total, 2**24, 2**31, 2**40, 2**63, 2**64 - 1):
        yield f"header length {length}", struct.pack("<Q", length) + join(header, body)[8:]
    for side in HUGE:
        yield f"shape [{side}]", join(with_entry(first, shape=[side]), body)
        yield f"shape and offsets {side}", join(with_entry(first, shape=[side], data_offsets=[0, 4 * side]), body)
        yield f"overflowing shape {side}", join(with_entry(first, shape=[side, side, 0, 1]), body)
        yield f"begin {side}", join(with_entry(first, data_offsets=[side, side + 4]), body)
        yield f"end {side}", join(with_entry(first, data_offsets=[0, side]), body)
        yield f"negative {side}", join(with_entry(first, data_offsets=[-side, 4]), body)
    offsets = header[first]["data_offsets"]
    for wrong in ([], [0], [0, 1, 2], "0:4", None, {}, [0.0, 4.0], ["0", "4"], [True, False], [-1, 3], offsets[::-1], [1e9, 1e9]):
        yield f"data_offsets {wrong}", join(with_entry(first, data_offsets=wrong), body)
    for wrong in (None, {}, "4", 4, [-4], [4.0], ["4"], [True], [[4]], [None], [1] * 9, [1] * 100_000, [0], [[]], [1 << 48]):
        yield f"shape {str(wrong)[:20]}", join(with_entry(first, shape=wrong), body)
    for wrong in (None, 4, "", "f32", "F128", "BF16", "I64", "BOOL", "F8_E4M3", ["F32"], {}, "F32 ", "F16", "F64", "x" * 100_000):
        yield f"dtype {str(wrong)[:20]}", join(with_entry(first, dtype=wrong), body)
    for wrong in (None, [], "tensor", 4, {}, {"dtype": "F32"}, {**header[first], "stride": [1]}):
        yield f"entry {wrong}", join({**header, first: wrong}, body)
    for wrong in (None, [], "text", 4, {"a": 1}, {"a": None}, {"a": {"b": "c"}}, {"axialzoo": "{}"}, {"axialzoo": "null"}, {"other": "x"}):
        yield f"metadata {wrong}", join({**header, "__metadata__": wrong}, body)
    yield "overlap", join(with_entry(second, data_offsets=header[first]["data_offsets"]), body)
    yield "all at one place", join({name: {**header[first]} for name in names}, body)
    yield "gap", join({name: entry for name, entry in header.items() if name != second}, body)
    yield "gap closed", join({name: entry for name, entry in header.items() if name != names[-1]}, body[: -4 * 4])
    yield "nothing", join({}, b"")
    yield "no tensors", join({}, body)
    yield "only metadata", join({"__metadata__": header["__metadata__"]}, b"")
    text = json.dumps(header).encode()
    repeated = json.dumps(header[first]).encode()
    yield "a name twice", join(text[:-1] + b"," + json.dumps(first).encode() + b":" + repeated + b"}", body)
    yield "a key twice", join(text.replace(b'"dtype": "F32"', b'"dtype": "F32", "dtype": "F32"', 1), body)
    yield "metadata twice", join(text[:-1] + b', "__metadata__": {}}', body)
    for depth in (33, 1_000, 100_000, 1_000_000):
        yield f"{depth} lists deep", join(b'{"a":' + b"[" * depth + b"]" * depth + b"}", body)
        yield f"{depth} objects deep", join(b'{"a":' * depth + b"1" + b"}" * depth, body)
    for wrong in (
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{'a':1}",
        b"\xff\xfe{}",
        b"{}\0",
        b"{} {}",
        b"\xef\xbb\xbf{}",
        b"NaN",
        b'{"a":NaN}',
    ):
        yield f"header {wrong!r}", join(wrong, body)
    yield "a number of 5000 digits", join(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,4]}}', body)
    yield "infinity", join(b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}', body)
    yield "half a surrogate pair", join(b'{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', b"\0" * 4)
    yield "a million names", join(json.dumps({str(i): 0 for i in range(100_000)}).encode(), body)


def test_hostile_headers_are_refused(copy):
    path = copy / "model.safetensors"
    header, body = split(path.read_bytes())
    for what, data in hostile_headers(header, body):
        path.write_bytes(data)
        refused(lambda: load_checkpoint(copy), what, "hostile header")


def test_a_sparse_file_of_a_terabyte_is_not_read(tmp_path, good):
    """The claim fits the file, which takes no space on the disk; the model's spec does not."""
    (tmp_path / "config.json").write_bytes((good / "config.json").read_bytes())
    size = 1 << 40
    path = tmp_path / "model.safetensors"
    path.write_bytes(join({"stem.0.conv.weight": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}, b""))
    try:
        os.truncate(path, path.stat().st_size + size)
    except OSError:
        pytest.skip("the file system has no sparse files of this size")
    refused(lambda: load_checkpoint(tmp_path), "a terabyte", "hostile header")


EDITED = {  # what somebody may write into a config.json by hand
    "model": ("x", "9" * 10_000),
    "version": (1,),
    "labels": ([],),
    "preprocessing": ({},),
    "provenance": ({}, {"a": {"b": [1]}}),
}


def hostile_configs(config: dict) -> Iterator[tuple[str, bytes]]:
    def plain(data: object) -> bytes:
        return json.dumps(data, ensure_ascii=False).encode()

    free = {key: value for key, value in config.items() if key != "config_digest"}
    for key in free:
        yield f"without {key}", plain({name: value for name, value in free.items() if name != key})
        for wrong in (None, 1, -1, 1e308, True, [], {}, [[]], "x", "9" * 10_000, {"a": {"b": [1]}}):
            if wrong not in EDITED.get(key, ()):
                yield f"{key} = {str(wrong)[:20]}", plain({**free, key: wrong})
    yield "version true", plain({**free, "version": True})
    for path in ("spec.num_classes", "spec.backbone.in_channels", "spec.backbone.stem.convs.0.channels"):
        for wrong in (*HUGE, -1, 0.5, None, "3", [3], 10**400):
            data = json.loads(plain(free))
            at = data
            *way, last = path.split(".")
            for part in way:
                at = at[int(part) if part.isdigit() else part]
            at[last] = wrong
            yield f"{path} = {str(wrong)[:20]}", plain(data)
    yield "unknown field", plain({**free, "labelz": []})
    yield "unknown field of the spec", plain({**free, "spec": {**free["spec"], "numclasses": 3}})
    yield "newer version", plain({**free, "version": 3})
    yield "digest of others", plain({**free, "digest": "sha256:" + "0" * 64})
    yield "changed, with the old config_digest", plain({**config, "labels": ["a", "b", "c", "d"]})
    yield "NaN", plain(free).replace(b"0.25", b"NaN")
    yield "key twice", plain(free)[:-1] + b',"model":"custom"}'
    for depth in (40, 100_000):
        yield f"{depth} deep", plain(free)[:-1] + b',"provenance2":' + b"[" * depth + b"]" * depth + b"}"
    for wrong in (b"", b"{}", b"[]", b"null", b"\0" * 100, b"\xff\xff", b"{" * 1000, b'"' + b"x" * (5 << 20) + b'"'):
        yield f"config {wrong[:10]!r}", wrong


def test_hostile_configs_are_refused(copy):
    config = json.loads((copy / "config.json").read_text())
    for what, data in hostile_configs(config):
        (copy / "config.json").write_bytes(data)
        refused(lambda: load_checkpoint(copy), what, "hostile config")


def test_the_config_of_another_model_is_refused(copy):
    for name in ("axial_resnet26_s", "axial_resnet_cifar10_xs"):
        (copy / "config.json").write_text(Config(name, entry(name).spec).to_json())
        refused(lambda: load_checkpoint(copy), name, "wrong config")
    small.write_folder(copy / "other", seed=1)
    os.replace(copy / "other" / "config.json", copy / "config.json")
    refused(lambda: load_checkpoint(copy), "the same model, other weights", "wrong config")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", sorted(small.tensors()))
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, name, value):
    tensors = small.tensors()
    tensors[name].reshape(-1)[-1] = value
    refused(lambda: save_checkpoint(tmp_path, small.CONFIG, tensors), f"{name} = {value}, saving", "not finite")
    assert not list(tmp_path.iterdir())
    config = Config("custom", small.SPEC, digest=digest(tensors))
    (tmp_path / "config.json").write_text(config.to_json())
    write_safetensors(tmp_path / "model.safetensors", tensors)
    refused(lambda: load_checkpoint(tmp_path), f"{name} = {value}, loading", "not finite")


def test_what_is_not_a_file_is_refused_without_waiting_for_it(copy, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def pipe(path: Path) -> None:
        os.mkfifo(path)  # opening it for reading would wait for ever

    makers: dict[str, Callable[[Path], object]] = {
        "absent": lambda path: None,
        "a folder": Path.mkdir,
        "a pipe": pipe,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a link to nothing": lambda path: path.symlink_to(elsewhere / "nothing"),
        "a link to itself": lambda path: path.symlink_to(path),
        "a link to a folder": lambda path: path.symlink_to(elsewhere),
        "empty": Path.touch,
    }
    for name, (what, make) in itertools.product(("config.json", "model.safetensors"), makers.items()):
        kept = (copy / name).read_bytes()
        (copy / name).unlink()
        make(copy / name)
        refused(lambda: load_checkpoint(copy), f"{name} is {what}", "not a file")
        if (copy / name).is_dir() and not (copy / name).is_symlink():
            (copy / name).rmdir()
        (copy / name).unlink(missing_ok=True)
        (copy / name).write_bytes(kept)
    for source in (copy / "nowhere", copy / "config.json", str(copy / "a\0b"), "", 5, None, "./nowhere"):
        refused(lambda source=source: load_checkpoint(source), f"source {source!r}", "not a file")


def test_links_to_whole_files_are_followed_as_the_cache_of_the_hub_needs(copy, tmp_path_factory):
    links = tmp_path_factory.mktemp("links")
    for name in ("config.json", "model.safetensors"):
        (links / name).symlink_to(copy / name)
    assert load_checkpoint(links).config.digest == load_checkpoint(copy).config.digest


class TestPth:
    """``.pth`` files: nothing in them runs, and what is odd about them is refused."""

    def test_pickle_bombs_do_not_run(self, tmp_path):
        import pickletools

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

    def test_truncated_and_flipped(self, good, tmp_path):
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

    def test_a_flipped_bit_anywhere_is_refused_or_in_a_byte_that_means_nothing(self, good, tmp_path):
        """A zip file has bytes that nobody reads (dates, padding): with those flipped the very same weights come out."""
        config, tensors = read_any(good / "model.pth")
        path = tmp_path / "model.pth"
        for _, changed in flips((good / "model.pth").read_bytes(), 80, 6):
            path.write_bytes(changed)
            try:
                found, arrays = read_any(path)
            except (CheckpointError, SpecError):
                COUNTED["pth"] += 1
                continue
            assert found == config and digest(arrays) == digest(tensors)

    def test_odd_archives(self, good, tmp_path):
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
    def test_tensors_that_are_not_weights(self, tmp_path):
        import torch

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
            "nested": {"net": whole},
        }
        path = tmp_path / "model.pth"
        for what, state in states.items():
            for modern in (True, False):
                torch.save(state, path, _use_new_zipfile_serialization=modern)
                refused(lambda: read_state_of(path, config), f"{what}, zip={modern}", "pth")


def read_state_of(path: Path, config: Config):
    from axialzoo.torch.native import read_native

    return read_native(path, config)


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


def test_there_are_at_least_500_cases(request):
    """Runs last in this file; every case above counted itself when it was refused."""
    mine = [item for item in request.session.items if item.path == request.path]
    if len(mine) < 150 or os.environ.get("PYTEST_XDIST_WORKER"):
        pytest.skip("counts only when the whole file runs in one process")
    assert sum(COUNTED.values()) >= 500, COUNTED
    assert set(COUNTED) >= {
        "truncated",
        "flipped",
        "hostile header",
        "hostile config",
        "wrong config",
        "not finite",
        "not a file",
        "pickle",
        "pth",
    }
