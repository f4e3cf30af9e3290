"""Asks the Hub's client, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conversion import small

ROOT = Path(__file__).resolve().parent.parent.parent


def ask(url: str, cache: Path, action: str, *arguments, offline: bool = False, token: str = "hf_test") -> list[dict]:
    """Answer of ``client.py``."""
    settings = {**environment(url, cache), "HF_HUB_OFFLINE": "1" if offline else "0", "HF_TOKEN": token}
    command = [sys.executable, str(ROOT / "tests" / "hub" / "client.py"), action, json.dumps(arguments)]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def environment(url: str, cache: Path) -> dict[str, str]:
    """The settings with which a client talks to the server at `url` and to nothing else."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))},
        "HF_ENDPOINT": url,
        "HF_HOME": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_TOKEN": "hf_test",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": str(ROOT),
    }


def files(folder: Path, seed: int) -> dict[str, bytes]:
    small.write_folder(folder, seed)
    return {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
