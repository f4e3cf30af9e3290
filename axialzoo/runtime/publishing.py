"""Publishing a checkpoint with its golden activations and the measured parity of all installed frameworks."""

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
from axialzoo.runtime.verify import of_precision, verify_with_outputs


def publish(
    source: str | os.PathLike[str],
    repo_id: str,
    *,
    private: bool = False,
    tag: str | None = None,
    revision: str | None = None,
    dry_run: str | os.PathLike[str] | None = None,
    evaluations: Sequence[Mapping[str, Any]] = (),
    base_model: str | None = None,
    float64: bool = True,
    overwrite: bool = False,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Verify a checkpoint in every installed framework, and publish it in one commit.

    The commit holds ``config.json``, ``model.safetensors``, ``golden.json``, ``labels.txt``, the pictures of the card,
    ``SHA256SUMS`` and the card, which has complete front matter and examples that name the repository.

    Args:
        source: A folder, or a name with weights.
        repo_id: ``"org/name"``; the repository is created if it does not exist.
        private: Whether the repository is private.
        tag: Tag of the commit; an existing tag is never moved.
        revision: Branch to write to; default the main branch.
        dry_run: Folder to write the files to instead of uploading them.
        evaluations: Results of :func:`axialzoo.train.evaluate`, one per framework, for the card's table of metrics.
        base_model: The repository on the Hub whose weights were fine-tuned.
        float64: Verify in float64 too.
        overwrite: Whether to replace files that exist in `dry_run`.
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
    source: str | os.PathLike[str],
    repo_id: str,
    evaluations: Sequence[Mapping[str, Any]] = (),
    base_model: str | None = None,
    float64: bool = True,
    log: Callable[[str], None] = lambda text: None,
) -> tuple[Publication, dict[str, Any]]:
    """Verify a checkpoint, and return the files that :func:`publish` uploads and the report."""
    checkpoint = fetch_checkpoint(source)
    prepare(checkpoint.folder, repo_id, evaluations=evaluations)  # refuses bad arguments before any computation
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
