"""The frameworks and Keras back ends that are installed, and the back end of this process."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping

from axialzoo.spec import SpecError, did_you_mean

FRAMEWORKS = ("torch", "keras")
NATIVE = "native"  # the runtime of this package, which needs no framework: see axialzoo.native
BACKENDS = ("tensorflow", "jax", "torch")
TITLES = {"torch": "PyTorch", "keras": "Keras", NATIVE: "Native"}


def installed(package: str) -> bool:
    """Tell whether a package can be imported."""
    return importlib.util.find_spec(package) is not None


def available() -> list[str]:
    """Return the frameworks that can run models here, in order of preference."""
    keras = installed("keras") and any(installed(backend) for backend in BACKENDS)
    return [name for name, there in (("torch", installed("torch")), ("keras", keras)) if there]


def choose(framework: str | None, native: bool = False) -> list[str]:
    """Return the frameworks that ``--framework`` names (separated by commas), by default the first installed.

    Args:
        framework: Names, or None.
        native: Whether the native runtime may be named, and is the default where no framework is installed. It cannot train.

    Raises:
        SpecError: for an unknown framework.
        ModuleNotFoundError: for a framework that is not installed; the message says how to install it.
    """
    installed_frameworks = [*available(), *([NATIVE] if native else [])]
    if framework is None:
        if not installed_frameworks:
            raise ModuleNotFoundError(
                "neither PyTorch nor Keras is installed; pip install 'axialzoo[torch]' or 'axialzoo[keras-tensorflow]'"
            )
        return installed_frameworks[:1]
    names = list(dict.fromkeys(name.strip() for name in framework.split(",")))
    for name in names:
        if name == NATIVE and not native:
            raise SpecError("--framework: expected torch or keras, found 'native', which predicts, evaluates and verifies alone")
        if name not in (*FRAMEWORKS, NATIVE):
            known = (*FRAMEWORKS, NATIVE) if native else FRAMEWORKS
            raise SpecError(f"--framework: expected torch, keras or torch,keras, found {name!r}{did_you_mean(name, known)}")
        if name not in installed_frameworks:
            extra = "torch" if name == "torch" else "keras-tensorflow"
            raise ModuleNotFoundError(f"{TITLES[name]} is not installed; pip install 'axialzoo[{extra}]'")
    return names


def has_accelerator() -> bool:
    """Tell, without a framework, whether this machine seems to have a GPU that a framework could use."""
    return os.path.exists("/dev/nvidiactl") or os.path.exists("/dev/kfd") or sys.platform == "darwin"


def process_backend() -> str:
    """Return the back end that Keras has in this process, or will have once it is imported.

    ``KERAS_BACKEND`` names it, else ``keras.json``, else it is the first installed. Keras writes ``tensorflow`` into
    ``keras.json`` by default, so a back end in that file that is not installed is ignored.

    Raises:
        SpecError: where ``KERAS_BACKEND`` names an unknown back end.
        ModuleNotFoundError: where that back end is not installed, or no back end is.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    backend = os.environ.get("KERAS_BACKEND")
    if backend:
        if backend not in BACKENDS:
            raise SpecError(f"KERAS_BACKEND: expected one of {', '.join(BACKENDS)}, found {backend!r}{did_you_mean(backend, BACKENDS)}")
        if not installed(backend):
            raise ModuleNotFoundError(f"KERAS_BACKEND={backend}: it is not installed; pip install {backend}, or name another", name=backend)
        return backend
    installed_backends = [backend for backend in BACKENDS if installed(backend)]
    if not installed_backends:
        raise ModuleNotFoundError("Keras has no back end here; pip install 'axialzoo[keras-tensorflow]' or 'axialzoo[keras-jax]'")
    settled = _in_settings()
    return settled if settled in installed_backends else installed_backends[0]


def prepare_keras() -> str:
    """Import Keras on the back end of this process, and return its name: see :func:`process_backend`."""
    backend = process_backend()
    if "keras" in sys.modules:
        return backend
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = backend
    with _native_messages_hidden():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow  # noqa: F401
    return keras.backend.backend()


def _in_settings() -> str | None:
    """Return the back end that ``keras.json`` names, or None where the file is missing or cannot be read."""
    path = os.path.join(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"), "keras.json")
    try:
        with open(path, encoding="utf-8") as file:
            data = json.load(file)
    except (OSError, ValueError):  # Keras ignores such a file too
        return None
    return data.get("backend") if isinstance(data, dict) else None


@contextlib.contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Hide what TensorFlow's libraries write to stderr as they load, which no setting turns off; errors still arrive as exceptions."""
    sys.stderr.flush()
    saved_stderr, null_device = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null_device, 2)
        yield
    finally:
        os.dup2(saved_stderr, 2)
        os.close(saved_stderr)
        os.close(null_device)


def require_packages(purpose: str, packages: Mapping[str, str]) -> None:
    """Refuse work whose optional packages are missing, before it begins.

    Args:
        purpose: The work that needs them, for the message.
        packages: Name of each package -> the extra of axialzoo that brings it.

    Raises:
        ModuleNotFoundError: for missing packages; the message names them and the extras.
    """
    missing = [name for name in packages if not installed(name)]
    if missing:
        extras = ",".join(dict.fromkeys(packages[name] for name in missing))
        raise ModuleNotFoundError(
            f"{purpose} needs {' and '.join(missing)}, not installed here; pip install 'axialzoo[{extras}]' (in a clone: "
            f"pip install '.[{extras}]')",
            name=missing[0],
        )
