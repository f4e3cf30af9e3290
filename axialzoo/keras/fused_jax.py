"""The fused kernel under Keras's JAX back end: a target of XLA's foreign function interface.

It serves what is computed on a CPU in evaluation; for other devices, and for derivatives, the same is computed of plain operations.
"""

from __future__ import annotations

import ctypes
import functools

import jax
import numpy as np

from axialzoo.keras.fused import Form, arrays_of, linear, plain
from axialzoo.kernels import kernel
from axialzoo.kernels.bindings import bind, binding

__all__ = ["arrays_of", "axial_attention", "linear", "serves"]  # as every back end's module has them
TARGET = "axialzoo_attention"


def serves(x) -> bool:
    """Whether the kernel can take `x` here: not where a size is left open, as in exports."""
    return all(isinstance(side, int) for side in x.shape) and kernel() is not None and _loaded() is not None


@functools.cache
def _loaded() -> ctypes.CDLL | None:
    """The library whose target XLA knows, or None where the plain form has to serve."""
    path = binding("jax")
    if path is None:
        return None
    library = ctypes.CDLL(path)
    bind(library)
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(library.axial_attention), platform="cpu")
    return library


def axial_attention(x, arrays, form: Form):
    """A folded layer, of what `arrays_of` gives: (N, H, W, C) to (N, H, W, V)."""
    found = kernel()
    assert found is not None  # see serves
    return _attention(x, arrays, form, found.number)


@functools.partial(jax.jit, static_argnums=(2, 3))
@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _attention(x, arrays, form: Form, isa: int):
    return jax.lax.platform_dependent(
        x, arrays, cpu=functools.partial(_on_cpu, form=form, isa=isa), default=functools.partial(plain, form=form)
    )


@_attention.__wrapped__.defjvp
def _(form, isa, primals, tangents):
    return jax.jvp(functools.partial(plain, form=form), primals, tangents)


def _on_cpu(x, arrays, form: Form, isa: int):
    shift = arrays[-1]
    call = jax.ffi.ffi_call(TARGET, jax.ShapeDtypeStruct((*x.shape[:3], shift.shape[0]), x.dtype), vmap_method="sequential")
    none = np.zeros((0,), x.dtype)  # for a term that is not there
    settings = {name: np.int64(value) for name, value in {**form._asdict(), "isa": isa}.items()}
    return call(x, *(none if array is None else array for array in arrays), **settings)
