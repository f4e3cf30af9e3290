"""The page as a Space on the Hugging Face Hub: everything it needs, put together before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from axialzoo.checkpoint import CheckpointError
from axialzoo.files import atomic_write, check_output
from axialzoo.hub.address import Address
from axialzoo.hub.hub_errors import hub_errors
from axialzoo.hub.push import ADVICE
from axialzoo.hub.resolve import fetch_checkpoint

PACKAGE = Path(__file__).parents[1]
KINDS = (".py", ".css", ".json", ".safetensors", ".cpp", ".h", ".md", ".jpg", ".png", ".webp", ".typed")
GRADIO = "6.31.0"  # the Space's own, which the Hub installs beside the requirements
REQUIREMENTS = ("numpy>=2,<3", "safetensors>=0.8,<1", "huggingface-hub>=2.4,<3", "pillow>=11", "torch>=2.13,<3", "keras>=3.15,<4")
METADATA = {
    "title": "axialzoo", "emoji": "🔭", "colorFrom": "green", "colorTo": "blue", "sdk": "gradio", "sdk_version": GRADIO,
    "python_version": "3.11", "app_file": "app.py", "pinned": False, "license": "apache-2.0",
    "short_description": "See what axial attention sees in a picture",
}  # fmt: skip
APP = '''"""The page of axialzoo, as a Space."""

from axialzoo.app import serve

serve({models}, host="0.0.0.0")
'''


def space_files(repo_id: str, models: Sequence[str] = ()) -> dict[str, bytes | Path]:
    """Return the files of the Space: name -> content or path.

    They include the package itself, with the weights that ship; a checkpoint folder among `models` goes into ``models/``.

    Args:
        repo_id: ``"org/name"``.
        models: Names, folders or ``org/repo``; none: every model whose weights ship.

    Raises:
        CheckpointError: for a name that is no repository's, and for a model that cannot be had.
    """
    address = Address.parsed(repo_id)
    if address is None or address.repo != repo_id:
        raise CheckpointError(f"{repo_id!r}: expected the name of a Space on the Hub, org/name")
    files: dict[str, bytes | Path] = {}
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and path.suffix in KINDS and "__pycache__" not in path.parts:
            files[f"axialzoo/{path.relative_to(PACKAGE).as_posix()}"] = path
    photos = PACKAGE / "app" / "samples" if (PACKAGE / "app" / "samples").is_dir() else PACKAGE.parent / "docs" / "photos"
    files |= {f"axialzoo/app/samples/{path.name}": path for path in sorted(photos.iterdir()) if path.suffix in KINDS}
    named = []
    for source in models:
        checkpoint = fetch_checkpoint(source)
        name = source
        if Path(source).is_dir():
            name = f"models/{Path(source).resolve().name}"
            if name in named:
                raise CheckpointError(f"{source}: another folder is called {Path(source).resolve().name!r} too; rename one")
            files |= {f"{name}/{path.name}": path for path in sorted(checkpoint.folder.iterdir()) if path.suffix in KINDS}
        named.append(name)
    metadata: Mapping[str, object] = {**METADATA, "title": repo_id.rpartition("/")[2]}
    front = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in metadata.items())
    words = "See what axial attention sees: a picture in, what each model says of it out, and what a point of it attends to.\n"
    return {
        "README.md": f"---\n{front}---\n\n# {metadata['title']}\n\n{words}".encode(),
        "app.py": APP.format(models=json.dumps(named)).encode(),
        "requirements.txt": "".join(f"{line}\n" for line in REQUIREMENTS).encode(),
        **files,
    }


def write_space(files: Mapping[str, bytes | Path], folder: Path, *, overwrite: bool = False) -> Path:
    """Write a Space to `folder`.

    Raises:
        FileExistsError: where `folder` has something in it and `overwrite` is not said.
    """
    check_output(folder, overwrite=overwrite or (folder.is_dir() and not any(folder.iterdir())))
    for name, content in files.items():
        with atomic_write(folder / name) as beside:
            beside.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    return folder


def push_space(files: Mapping[str, bytes | Path], repo_id: str, *, private: bool = False) -> str:
    """Send a Space as one commit, and return its address; the Space is created if it does not exist.

    Raises:
        CheckpointError: where the Hub refuses, or the connection fails.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with hub_errors(repo_id, "publishing it", ADVICE):
        api.create_repo(repo_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        if private and not api.repo_info(repo_id, repo_type="space").private:
            raise CheckpointError(f"{repo_id}: exists already and is public; make it private on its page, or leave out --private")
        operations = [CommitOperationAdd(name, content if isinstance(content, bytes) else str(content)) for name, content in files.items()]
        commit = api.create_commit(repo_id, operations, commit_message="The page of axialzoo", repo_type="space")
    return str(commit.commit_url)
