"""Headers and configs written to mislead: refused with a clear error; nothing hangs or allocates what they claim."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator

import pytest

from axialzoo.checkpoint import Config, load_checkpoint
from axialzoo.spec import get_entry
from tests.conversion import small
from tests.conversion.damaged import HUGE, enough, join, refused, split


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
        refused(lambda: load_checkpoint(copy), what, "header")


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
    refused(lambda: load_checkpoint(tmp_path), "a terabyte", "header")


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
    yield "newer version", plain({**free, "version": 4})
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
        refused(lambda: load_checkpoint(copy), what, "config")


def test_the_config_of_another_model_is_refused(copy):
    for name in ("axial_resnet26_s", "axial_resnet_cifar10_xs"):
        (copy / "config.json").write_text(Config(name, get_entry(name).spec).to_json())
        refused(lambda: load_checkpoint(copy), name, "wrong_config")
    small.write_folder(copy / "other", seed=1)
    os.replace(copy / "other" / "config.json", copy / "config.json")
    refused(lambda: load_checkpoint(copy), "the same model, other weights", "wrong_config")


def test_there_are_many_cases(request):
    enough(request, header=120, config=120, wrong_config=3)
