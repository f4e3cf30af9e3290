"""A source on the Hub is looked for once, however often its checkpoint is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from axialzoo.app import attention_view, models
from axialzoo.hub import fetch_checkpoint
from axialzoo.runtime import convert as converting


def test_the_page_resolves_a_source_once(folder, monkeypatch):
    requests = []
    monkeypatch.setattr(models, "fetch_checkpoint", lambda source: requests.append(source) or fetch_checkpoint(folder))
    models._folder_of.cache_clear()
    attention_view._source.cache_clear()
    assert models.offered(["org/repo"]) == ("org/repo",)
    with models._start_runner("org/repo", "torch")[0] as runner:
        assert runner.config.digest == attention_view._source("org/repo").digest == models.checkpoint_of("org/repo").config.digest
    assert requests == ["org/repo"]
    models._folder_of.cache_clear()
    attention_view._source.cache_clear()


def test_convert_resolves_a_source_once_and_checks_its_target_before_it_reads(folder, tmp_path, monkeypatch):
    requests = []
    monkeypatch.setattr(converting, "resolve", lambda source: requests.append(source) or Path(folder))
    done = converting.convert("org/repo", tmp_path / "model.safetensors")
    assert requests == ["org/repo"] and done["source"] == "org/repo" and (tmp_path / "model.safetensors").is_file()
    monkeypatch.setattr(converting, "read_any", lambda *_: pytest.fail("read before its target was checked"))
    with pytest.raises(FileExistsError):
        converting.convert("org/repo", tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="is read as input"):
        converting.convert("org/repo", folder, overwrite=True)
