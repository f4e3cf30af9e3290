"""Publishing a checkpoint with what was measured of it: golden activations, and the parity of all frameworks installed."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import CheckpointError
from axialzoo.hub import fetch_checkpoint
from axialzoo.hub.golden import golden_text
from axialzoo.hub.push import Publication, prepare, push, write_publication
from axialzoo.runtime.verify import verify_with_outputs, of_precision


def publish(
    source: str | os.PathLike,
    repo_id: str,
    *,
    private: bool = False,
    tag: str | None = None,
    revision: str | None = None,
    dry_run: str | os.PathLike | None = None,
    evaluations: Sequence[Mapping[str, Any]] = (),
    base_model: str | None = None,
    float64: bool = True,
    overwrite: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Verifies a checkpoint in every framework installed, and publishes it in one commit.

    Published are ``config.json``, ``model.safetensors``, ``golden.json``, ``labels.txt``, the pictures beside the card,
    ``SHA256SUMS`` and the card, whose front matter is complete and whose examples name the repository.

    Args:
        source: A folder, or a name with weights.
        repo_id: ``"org/name"``; created where it does not exist.
        private: Whether the repository is private.
        tag: Put on the commit; never moved.
        revision: Branch to write to; default the main one.
        dry_run: A folder to write all of it to instead of sending it.
        evaluations: What :func:`axialzoo.train.evaluate` found, one a framework, for the card's table of figures.
        base_model: The repository on the Hub whose weights these started from.
        float64: Verify in float64 too.
        overwrite: Whether what is in `dry_run` may be replaced.
        log: Gets a line before each framework.

    Returns:
        ``repo``, ``commit`` (its address, None of a dry run), ``folder`` (of a dry run, else None), ``files`` (name -> bytes),
        ``digest``, ``verified`` (the report of :func:`axialzoo.runtime.verify.verify`).

    Raises:
        CheckpointError: where the checkpoint does not pass its verification, or the Hub refuses.

    Example:
        >>> import axialzoo
        >>> axialzoo.publish("axial_resnet_cifar10", "org/axial_resnet_cifar10", dry_run="out")  # doctest: +SKIP
    """
    publication, report = prepare_verified(source, repo_id, evaluations, base_model, float64, log)
    done: dict[str, Any] = {"repo": repo_id, "commit": None, "folder": None, "digest": publication.config.digest}
    if dry_run is not None:
        done["folder"] = str(write_publication(publication, Path(dry_run), overwrite=overwrite))
    else:
        log(f"sending {len(publication.files)} files to {repo_id} ...")
        done["commit"] = push(publication, private=private, revision=revision, tag=tag)
    sizes = {name: len(content) if isinstance(content, bytes) else content.stat().st_size for name, content in publication.files.items()}
    return {**done, "files": sizes, "verified": report}


def prepare_verified(
    source: str | os.PathLike,
    repo_id: str,
    evaluations: Sequence[Mapping[str, Any]] = (),
    base_model: str | None = None,
    float64: bool = True,
    log: Callable[[str], None] = lambda text: None,
) -> tuple[Publication, dict[str, Any]]:
    """What :func:`publish` sends, and the report of its verification."""
    checkpoint = fetch_checkpoint(source)
    prepare(checkpoint.folder, repo_id, evaluations=evaluations)  # what is refused is refused before anything is computed
    report, inputs, outputs = verify_with_outputs(checkpoint.folder, float64, log, "cpu")
    if not report["ok"]:
        failed = [part["name"] for part in (*report["checks"], *report["runs"]) if part["ok"] is False]
        failed += [" and ".join(row["pair"]) for row in report["parity"] if not row["ok"]]
        failed += [f"golden activations in {row['run']}" for row in report["golden"] if not row["ok"]]
        raise CheckpointError(
            f"{checkpoint.folder}: did not pass its verification ({'; '.join(dict.fromkeys(failed))}), and is not published; "
            f"`axialzoo verify {checkpoint.folder}` says more"
        )
    golden = None
    if outputs:
        run = next(iter(outputs))
        cases = {precision: (x, of_precision(outputs[run], precision)) for precision, x in inputs.items()}
        package = next(run_report["framework"] for run_report in report["runs"] if run_report["name"] == run)
        golden = golden_text(checkpoint.config, f"{run} {importlib.metadata.version(package)}", cases)
    publication = prepare(checkpoint.folder, repo_id, golden=golden, report=report, evaluations=evaluations, base_model=base_model)
    return publication, report
