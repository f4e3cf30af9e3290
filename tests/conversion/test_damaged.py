"""Files cut short, with a bit flipped, that are no files, or that hold what is no number: refused with a clear error, at once."""

from __future__ import annotations

import itertools
import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import CheckpointError, Config, digest, load_checkpoint, save_checkpoint, write_safetensors
from axialzoo.runtime.convert import read_any
from tests.conversion import small
from tests.conversion.damaged import enough, flips, refused, same_number, split


def boundaries(data: bytes) -> Iterator[int]:
    """Offsets of a header's parts: its length, each bracket, colon and comma, each tensor."""
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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", sorted(small.tensors()))
def test_weights_that_are_not_finite_are_neither_saved_nor_loaded(tmp_path, name, value):
    tensors = small.tensors()
    tensors[name].reshape(-1)[-1] = value
    refused(lambda: save_checkpoint(tmp_path, small.CONFIG, tensors), f"{name} = {value}, saving", "not_finite")
    assert not list(tmp_path.iterdir())
    config = Config("custom", small.SPEC, digest=digest(tensors))
    (tmp_path / "config.json").write_text(config.to_json())
    write_safetensors(tmp_path / "model.safetensors", tensors)
    refused(lambda: load_checkpoint(tmp_path), f"{name} = {value}, loading", "not_finite")


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
        remaining = (copy / name).read_bytes()
        (copy / name).unlink()
        make(copy / name)
        refused(lambda: load_checkpoint(copy), f"{name} is {what}", "not_a_file")
        if (copy / name).is_dir() and not (copy / name).is_symlink():
            (copy / name).rmdir()
        (copy / name).unlink(missing_ok=True)
        (copy / name).write_bytes(remaining)
    for source in (copy / "nowhere", copy / "config.json", str(copy / "a\0b"), "", 5, None, "./nowhere"):
        refused(lambda source=source: load_checkpoint(source), f"source {source!r}", "not_a_file")


def test_links_to_whole_files_are_followed_as_the_cache_of_the_hub_needs(copy, tmp_path_factory):
    links = tmp_path_factory.mktemp("links")
    for name in ("config.json", "model.safetensors"):
        (links / name).symlink_to(copy / name)
    assert load_checkpoint(links).config.digest == load_checkpoint(copy).config.digest


def test_there_are_many_cases(request):
    enough(request, truncated=200, flipped=300, not_finite=200, not_a_file=20)
