"""``axialzoo publish``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from axialzoo.cli.shared import Force, Json, Quiet, emit, say, show, stdout_kept_clean, table
from axialzoo.spec import SpecError


def run(
    source: Annotated[str, typer.Argument(help="A checkpoint folder, or a name with weights.", metavar="FOLDER")],
    repo: Annotated[str, typer.Argument(help="The repository on the Hub.", metavar="ORG/NAME")],
    private: Annotated[bool, typer.Option("--private", help="A private repository.")] = False,
    tag: Annotated[str | None, typer.Option(help="Put on the commit, such as v1.", metavar="TAG")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch to write to; default the main one.", metavar="BRANCH")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing: write the folder and show it.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where --dry-run writes; default runs/publish/NAME.", metavar="FOLDER")] = None,
    metrics: Annotated[
        list[Path] | None, typer.Option(help="What `axialzoo evaluate --json` printed; one a framework.", metavar="JSON")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="Whose weights these started from.", metavar="ORG/NAME")] = None,
    float64: Annotated[bool, typer.Option(help="Verify in float64 too.")] = True,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Publish a checkpoint on the Hugging Face Hub, in one commit: weights, config, golden activations, checksums, pictures, card.

    The checkpoint is verified in every framework and back end installed first, and the card shows how well they agree. The token is
    taken as the Hub's own tools take it: HF_TOKEN, or `hf auth login`. A run that was cut is run again.

    Examples:
      axialzoo publish folder org/name --dry-run
      axialzoo publish folder org/name --private --tag v1
      axialzoo evaluate folder --data DATA --framework torch --json > torch.json
      axialzoo publish folder org/name --metrics torch.json --metrics keras.json
    """
    from axialzoo.runtime.publishing import publish

    if out is not None and not dry_run:
        raise SpecError("--out: expected --dry-run beside it; without that the Hub is where it goes")
    place = (out or Path("runs") / "publish" / repo.rpartition("/")[2]) if dry_run else None
    with stdout_kept_clean():
        done = publish(
            source, repo, private=private, tag=tag, revision=revision, dry_run=place, evaluations=[_read(path) for path in metrics or ()],
            base_model=base_model, float64=float64, overwrite=force, log=lambda text: say(text, quiet),
        )  # fmt: skip
    if as_json:
        emit(done)
        return
    shown = table("file", ">bytes", title=str(done["folder"] or done["repo"]))
    for name, size in done["files"].items():
        shown.add_row(name, f"{size:,}")
    show(shown)
    if place is not None:
        show("", (place / "README.md").read_text(encoding="utf-8"))
        say(f"written: {place}; nothing was sent", quiet)
    else:
        say(f"published: {done['commit']}", quiet)


def _read(path: Path) -> dict[str, Any]:
    metrics = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(metrics, dict) or "digest" not in metrics:
        raise SpecError(f"--metrics {path}: expected the object that `axialzoo evaluate --json` prints")
    return metrics
