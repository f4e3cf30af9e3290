"""``axialzoo publish-space``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from axialzoo.cli.shared import Force, Json, Quiet, emit, say, show, table
from axialzoo.spec import SpecError


def run(
    repo: Annotated[str, typer.Argument(help="The Space on the Hub.", metavar="ORG/NAME")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Offer this one; may be said again. Default all whose weights ship.", metavar="NAME|FOLDER|ORG/REPO"),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A private Space.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing: write the folder and show it.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where --dry-run writes; default runs/space/NAME.", metavar="FOLDER")] = None,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Publish the page of `axialzoo app` as a Space on the Hugging Face Hub, in one commit.

    The Space has the package itself with the weights that ship; a checkpoint folder goes with it, org/repo is fetched there.

    Examples:
      axialzoo publish-space org/axial-demo --dry-run
      axialzoo publish-space org/axial-demo --model runs/nuclei/model --private
    """
    from axialzoo.hub.space import push_space, space_files, write_space

    if out is not None and not dry_run:
        raise SpecError("--out: expected --dry-run beside it; without that the Hub is where it goes")
    files = space_files(repo, model or ())
    place = commit = None
    if dry_run:
        place = write_space(files, out or Path("runs") / "space" / repo.rpartition("/")[2], overwrite=force)
    else:
        say(f"sending {len(files)} files to {repo} ...", quiet)
        commit = push_space(files, repo, private=private)
    sizes = {name: len(content) if isinstance(content, bytes) else content.stat().st_size for name, content in files.items()}
    if as_json:
        emit({"repo": repo, "commit": commit, "folder": None if place is None else str(place), "files": sizes})
        return
    shown = table("file", ">bytes", title=str(place or repo))
    for name, size in sizes.items():
        if not name.startswith("axialzoo/"):
            shown.add_row(name, f"{size:,}")
    own = [size for name, size in sizes.items() if name.startswith("axialzoo/")]
    shown.add_row(f"axialzoo/ ({len(own)} files)", f"{sum(own):,}")
    show(shown)
    say(f"written: {place}; nothing was sent" if dry_run else f"published: {commit}", quiet)
