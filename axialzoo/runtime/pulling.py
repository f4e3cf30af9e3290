"""Download, import and check of the official weights, and their cache on this machine."""

from __future__ import annotations

import shutil
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from axialzoo.checkpoint import CheckpointError, load_checkpoint
from axialzoo.files import replace_folder
from axialzoo.hub.catalogue import OfficialWeights, official
from axialzoo.hub.pulled import check_first_digest, first_digests, home, pulled_dir, record
from axialzoo.hub.resume import Progress, fetch_file
from axialzoo.runtime.foreign import import_foreign
from axialzoo.runtime.frameworks import installed
from axialzoo.spec import SpecError

NEEDS = {"deeplab2": "tensorflow", "axial-deeplab": "torch"}  # the package that reads the files of a code base


def pull(
    name: str,
    *,
    address: str | None = None,
    force: bool = False,
    keep: bool = False,
    progress: Progress = lambda done, total: None,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Download official weights once, import them, and keep the checkpoint; then ``pretrained=`` and every command accept `name`.

    The digest of the first import is recorded. Every later import or load of that name must have the same digest.

    Args:
        name: A name in :data:`axialzoo.hub.catalogue.OFFICIAL`, such as ``"axial_swidernet_1_1_1.cityscapes"``.
        address: Another address of the archive, or a file on this machine.
        force: Download and import again, even if the checkpoint exists.
        keep: Keep the archive too.
        progress: Gets the number of bytes downloaded, and their total.
        log: Gets a line before each step.

    Returns:
        ``name``, ``folder``, ``digest``, ``model``, ``address``, ``licence``, ``fetched`` (False where the checkpoint existed).

    Raises:
        SpecError: for a name that the catalogue does not have.
        CheckpointError: where the address does not answer, the archive is damaged or hostile, its tensors are not the model's, or the
            digest differs from the recorded one.
        ModuleNotFoundError: without the package that reads the archive (TensorFlow, for deeplab2's).
    """
    weights, folder = official(name), pulled_dir(name)
    place = address or weights.address
    if folder.exists() and not force:
        try:
            return _done(weights, folder, place, fetched=False)
        except (CheckpointError, SpecError) as error:
            log(f"{folder}: is damaged and is fetched again ({error})")
    needed = NEEDS.get(weights.zoo)
    if needed and not installed(needed):
        raise ModuleNotFoundError(f"{name}: reading it needs {needed}, which is not installed; pip install {needed}", name=needed)
    beside = folder.with_name(f".{name}")
    shutil.rmtree(beside, ignore_errors=True)
    config = _imported(weights, place, beside, keep, progress, log)
    try:
        check_first_digest(name, config.digest, place)
    except CheckpointError:
        shutil.rmtree(beside)
        raise
    record(name, config.digest, place)
    replace_folder(beside, folder)
    return _done(weights, folder, place, fetched=True)


def _imported(weights: OfficialWeights, place: str, out: Path, keep: bool, progress: Progress, log: Callable[[str], None]) -> Any:
    """Download and import to `out`, and return the config; an archive that does not import is deleted and downloaded once more."""
    if not place.startswith(("http://", "https://")):
        return import_foreign(weights.zoo, Path(place), out, weights.model, backbone_only=weights.backbone_only)[0]
    archive = home() / "archives" / Path(urllib.parse.urlsplit(place).path).name
    for attempt in (1, 2):
        if not archive.exists():
            log(f"fetching {place} ...")
            fetch_file(place, archive, progress)
        log(f"importing {archive.name} ...")
        try:
            config, _ = import_foreign(weights.zoo, archive, out, weights.model, backbone_only=weights.backbone_only, overwrite=True)
        except (CheckpointError, SpecError) as error:
            archive.unlink()
            shutil.rmtree(out, ignore_errors=True)
            if attempt == 2:
                raise CheckpointError(f"{weights.name}: was fetched twice and refused twice, and is not kept: {error}") from error
            continue
        if not keep:
            archive.unlink()
        return config
    raise AssertionError(weights.name)


def _done(weights: OfficialWeights, folder: Path, place: str, fetched: bool) -> dict[str, Any]:
    config = load_checkpoint(folder).config
    check_first_digest(weights.name, config.digest, str(folder))
    return {
        "name": weights.name, "folder": str(folder), "digest": config.digest, "model": config.model,
        "address": first_digests().get(weights.name, {}).get("address", place), "licence": weights.licence, "fetched": fetched,
    }  # fmt: skip
