"""Files are written whole or not at all, and equal checkpoints are equal files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from axialzoo.checkpoint import Config, load_checkpoint, save_checkpoint, write_safetensors
from axialzoo.checkpoint.folder import NEXT
from axialzoo.runtime.convert import read_any, write_any
from tests.conversion import small


class PowerCut(Exception):
    """A writer that stops in the middle."""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("after", range(0, 12, 2))
def test_a_failure_while_writing_leaves_the_old_folder_intact(tmp_path, monkeypatch, after):
    import axialzoo.checkpoint.safetensors as writer

    small.write_folder(tmp_path, seed=1)
    before = contents(tmp_path)
    written = 0

    def stops(array):
        nonlocal written
        written += 1
        if written > after:
            raise PowerCut
        return flat_bytes(array)

    flat_bytes = writer.flat_bytes
    monkeypatch.setattr(writer, "flat_bytes", stops)
    with pytest.raises(PowerCut):
        small.write_folder(tmp_path, seed=2)
    assert contents(tmp_path) == before
    assert load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["lone.safetensors", "model.pth"])
def test_a_failure_before_renaming_leaves_the_old_file_intact(tmp_path, monkeypatch, name):
    small.write_folder(tmp_path / "folder")
    config, tensors = read_any(tmp_path / "folder")
    path = tmp_path / "files" / name
    write_any(path, config, tensors)
    before = contents(path.parent)

    def stops(*paths):
        raise PowerCut

    monkeypatch.setattr(os, "replace", stops)
    with pytest.raises(PowerCut):
        write_any(path, config, small.tensors(9), overwrite=True)
    assert contents(path.parent) == before


def test_a_failure_between_the_two_files_leaves_the_new_checkpoint(tmp_path, monkeypatch):
    """The weights are renamed first; a crash right then leaves the new config beside them, without which the pair is refused."""
    small.write_folder(tmp_path, seed=1)
    new = small.write_folder(tmp_path / "new", seed=2)
    replace_file = os.replace

    def stops(source, target):
        if Path(target).name == "config.json":
            raise PowerCut
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", stops)
    with pytest.raises(PowerCut):
        small.write_folder(tmp_path, seed=2)
    assert load_checkpoint(tmp_path).config == new
    (tmp_path / NEXT).unlink()
    with pytest.raises(ValueError, match="differ in digest"):
        load_checkpoint(tmp_path)


def test_equal_checkpoints_are_equal_files_whatever_the_order(tmp_path):
    tensors = small.tensors()
    save_checkpoint(tmp_path / "one", small.CONFIG, tensors)
    provenance = dict(reversed(small.CONFIG.provenance.items()))
    save_checkpoint(tmp_path / "two", replace(small.CONFIG, provenance=provenance), dict(reversed(tensors.items())))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_a_config_comes_back_from_its_text(tmp_path):
    config = small.write_folder(tmp_path)
    assert Config.from_json(config.to_json()) == config == load_checkpoint(tmp_path).config


def test_tensors_are_views_of_the_file_and_read_only(tmp_path):
    small.write_folder(tmp_path)
    for array in load_checkpoint(tmp_path).tensors.values():
        assert not array.flags.writeable and not array.flags.owndata


def test_released_memory_is_read_again(tmp_path):
    from axialzoo.checkpoint import digest, iter_and_release_pages

    config = small.write_folder(tmp_path)
    tensors = load_checkpoint(tmp_path).tensors
    for inputs in (tensors, {"head.fc.bias": small.tensors()["head.fc.bias"]}):
        assert [name for name, _ in iter_and_release_pages(inputs)] == list(inputs)
    assert digest(tensors) == config.digest


def test_new_files_have_the_rights_that_other_files_have(tmp_path):
    write_safetensors(tmp_path / "a.safetensors", small.tensors())
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_safetensors_library_reads_what_we_write_and_we_what_it_writes(tmp_path):
    from safetensors.numpy import load_file, save_file

    from axialzoo.checkpoint import digest, read_safetensors

    tensors = small.tensors()
    write_safetensors(tmp_path / "ours", tensors, {"axialzoo": "x"})
    assert digest(load_file(tmp_path / "ours")) == digest(tensors)
    save_file(tensors, tmp_path / "theirs", {"note": "y"})
    actual, metadata = read_safetensors(tmp_path / "theirs")
    assert digest(actual) == digest(tensors) and metadata == {"note": "y"}
