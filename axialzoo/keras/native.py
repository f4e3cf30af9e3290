"""Keras's own files, ``.weights.h5`` and ``.keras``, written and read by Keras; both say which model they hold."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from axialzoo.checkpoint import CheckpointError, Config, Tensors, atomic_write, check_regular, check_tensors, digest
from axialzoo.checkpoint.archive import check_archive
from axialzoo.checkpoint.migrate import SAME_TENSORS, VERSION, migrate_spec
from axialzoo.files import check_output
from axialzoo.keras.factory import build
from axialzoo.keras.weights import load_tensors, to_tensors
from axialzoo.spec import Model, parameters

ATTRIBUTE = "axialzoo"  # of the root of a .weights.h5: the config
CONFIG, WEIGHTS, NAME = "config.json", "model.weights.h5", "axialzoo>AxialModel"  # in a .keras


def read_native(path, config: Config | None = None) -> tuple[Config, dict[str, np.ndarray]]:
    """Read the config and the canonical tensors of a ``.weights.h5`` or ``.keras`` file.

    Args:
        path: A file that Keras wrote for a model of this package.
        config: Config of the weights, for a file without one.

    Raises:
        CheckpointError: for a file that is damaged, of another model, or does not say what it is.
    """
    path = Path(path)
    kind = _suffix(path)
    check_regular(path)
    try:
        inside = _config_in_archive(path) if kind == ".keras" else _config_in_h5(path)
        config = inside or config
        if config is None:
            raise CheckpointError(f"{path}: does not say which model it is; expected a config in it or beside it, or the model's name")
        if config.version < SAME_TENSORS:
            raise CheckpointError(
                f"{path}: written by the earlier version {config.version}, whose layers had other names; convert the folder or the "
                ".safetensors or .pth file of these weights, which are read in every version"
            )
        dtype = _check_datasets(path, kind, config.spec)
        model = build(config.spec, dtype=dtype)
        model.load_weights(path)
    except (CheckpointError, ModuleNotFoundError):
        raise
    except Exception as error:  # h5py and Keras raise many kinds on damaged files
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: damaged, or not what Keras writes for this model: {reason}") from None
    tensors = to_tensors(model)
    check_tensors(tensors, config.spec, where=str(path), expected_digest=config.digest)
    return replace(config, version=VERSION), tensors


def write_native(path, config: Config, tensors: Tensors, *, overwrite: bool = False) -> None:
    """Write a file that ``model.load_weights(path)`` or, for ``.keras``, ``keras.saving.load_model(path)`` reads.

    Raises:
        FileExistsError: where `path` exists and `overwrite` is False.
        CheckpointError: where the tensors are not exactly those of the config's spec, or not finite.
    """
    path = Path(path)
    kind = _suffix(path)
    check_output(path, overwrite=overwrite)
    check_tensors(tensors, config.spec, where=str(path))
    config = config.with_digest(digest(tensors))
    model = build(config.spec, dtype=str(next(iter(tensors.values())).dtype), name=config.model)
    load_tensors(model, tensors)
    model.config = config
    with atomic_write(path) as temporary:
        if kind == ".keras":
            model.save(temporary)
        else:
            model.save_weights(temporary)
            with h5py.File(temporary, "r+") as file:
                file.attrs[ATTRIBUTE] = config.to_json()


def _suffix(path: Path) -> str:
    """Return the suffix of `path`, one of Keras's formats."""
    for suffix in (".weights.h5", ".keras"):
        if path.name.endswith(suffix):
            return suffix
    raise CheckpointError(f"{path}: expected a name that ends in .weights.h5 or .keras")


def _config_in_h5(path: Path) -> Config | None:
    with h5py.File(path, "r") as file:
        inside = file.attrs.get(ATTRIBUTE)
    if inside is not None and not isinstance(inside, str):
        raise CheckpointError(f"{path}: expected the config in the attribute {ATTRIBUTE!r} as text, found a {type(inside).__name__}")
    return None if inside is None else Config.from_json(inside, f"{path}: attribute {ATTRIBUTE}")


def _config_in_archive(path: Path) -> Config:
    """Read the config of the model in a ``.keras`` file, without building anything that the file names."""
    from axialzoo.checkpoint import default_config, strict_json
    from axialzoo.checkpoint.config import MAX_BYTES
    from axialzoo.spec import SpecError, from_dict, is_registered

    names = check_archive(path)
    if CONFIG not in names or WEIGHTS not in names:
        raise CheckpointError(f"{path}: expected {CONFIG} and {WEIGHTS} in it, found {', '.join(names[:10])}")
    with zipfile.ZipFile(path) as archive:
        data = strict_json.parse(archive.read(CONFIG), f"{path}: {CONFIG}", MAX_BYTES)
    if not isinstance(data, dict) or data.get("registered_name") != NAME or not isinstance(data.get("config"), dict):
        actual = str(data.get("registered_name"))[:80] if isinstance(data, dict) else type(data).__name__
        raise CheckpointError(f"{path}: expected a model of the class {NAME}, found {actual}")
    stored = data["config"].get("checkpoint")
    if stored is not None:
        return Config.from_json(stored if isinstance(stored, str) else "", f"{path}: {CONFIG}: checkpoint")
    try:
        name = str(data["config"].get("name"))
        return default_config(from_dict(Model, migrate_spec(data["config"].get("spec"))), name if is_registered(name) else "custom")
    except SpecError as error:
        raise CheckpointError(f"{path}: {CONFIG}: {error}") from None


def _check_datasets(path: Path, kind: str, spec: Model) -> str:
    """Return the dtype of the weights, after checking that there is a plain data set of the right shape for each parameter of `spec`."""
    source = path
    if kind == ".keras":
        with zipfile.ZipFile(path) as archive:
            source = io.BytesIO(archive.read(WEIGHTS))
    datasets: list[h5py.Dataset] = []
    links: list[str] = []
    with h5py.File(source, "r") as file:

        def visit(group: h5py.Group) -> None:
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    links.append(f"{group.name}/{name}")
                elif isinstance(group[name], h5py.Dataset):
                    datasets.append(group[name])
                elif len(group.name) < 500:
                    visit(group[name])

        for name in file:
            if name not in ("optimizer", "metrics", "_compile_metrics"):
                visit(file[name]) if isinstance(file[name], h5py.Group) else datasets.append(file[name])
        weights = [dataset for dataset in datasets if "seed" not in dataset.name]
        odd = [dataset.name for dataset in datasets if dataset.external or dataset.chunks or dataset.dtype.kind not in "fui"]
        dtypes = {str(weight.dtype) for weight in weights}
        shapes = sorted(weight.shape for weight in weights)
    expected = sorted(parameter.keras_shape for parameter in parameters(spec))
    if links or odd:
        raise CheckpointError(
            f"{path}: expected plain data sets, found links or compressed or external ones: {', '.join((links + odd)[:5])}"
        )
    if shapes != expected:
        extra, missing = _difference(shapes, expected), _difference(expected, shapes)
        raise CheckpointError(
            f"{path}: expected the {len(expected)} tensors of its model, found {len(shapes)}; nothing was loaded; "
            f"shapes left over: {extra[:10]}; shapes missing: {missing[:10]}"
        )
    if len(dtypes) != 1 or not dtypes <= {"float16", "float32", "float64"}:
        raise CheckpointError(f"{path}: expected one dtype of float16, float32, float64, found {', '.join(sorted(dtypes))}")
    return dtypes.pop()


def _difference(shapes: list, others: list) -> list:
    unmatched = list(others)
    return [shape for shape in shapes if shape not in unmatched or unmatched.remove(shape)]
