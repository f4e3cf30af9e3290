"""deeplab2's checkpoints on the command line."""

from __future__ import annotations

import pytest

from axialzoo.checkpoint import digest, load_checkpoint
from tests.golden.deeplab2 import NETWORKS, TINY

pytest.importorskip("tensorflow")


def test_on_the_command_line(axialzoo, tmp_path):
    refused = axialzoo("import", "deeplab2", TINY, "--model", "axial_deeplab_s_backbone", "--out", tmp_path / "ours")
    assert refused.code == 1 and "semantic_decoder" in refused.err and not (tmp_path / "ours").exists()
    whole = axialzoo("import", "deeplab2", TINY, "--out", tmp_path / "whole", "--json").json
    assert whole["tensors"] == 346 and not whole["left_out"] and "no class a thing" in whole["assumed"]
    assert axialzoo("convert", tmp_path / "whole", tmp_path / "whole_theirs", "--to", "deeplab2", "--json").json["tensors"] == 346
    said = axialzoo("import", "deeplab2", TINY / "ckpt-1000", "--backbone-only", "--out", tmp_path / "ours")
    assert said.code == 0 and "left out (106)" in said.err and "assumed" in said.err
    actual = axialzoo("import", "deeplab2", TINY, "--backbone-only", "--out", tmp_path / "again", "--json").json
    assert actual["tensors"] == 240 and len(actual["left_out"]) == 106
    assert axialzoo("convert", tmp_path / "ours", tmp_path / "theirs", "--to", "deeplab2", "--json").json["tensors"] == 240
    assert axialzoo("import", "deeplab2", tmp_path / "theirs", "--out", tmp_path / "back", "--quiet").code == 0
    actual = [load_checkpoint(tmp_path / folder).config.digest for folder in ("ours", "again", "back")]
    assert set(actual) == {digest(NETWORKS["dl2_tiny_panoptic_axial_deeplab_65x97"].tensors)}
    again = axialzoo("convert", tmp_path / "ours", tmp_path / "theirs", "--to", "deeplab2")
    assert again.code == 1 and "new or empty" in again.err
