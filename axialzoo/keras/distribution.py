"""Training and inference on several devices, by keras.distribution: set one before a model is made. Keras has it on JAX.

Data parallel: every device has the whole model and a share of each batch; norms take their statistics of the whole batch all the same.
Model parallel: the large kernels are cut along their outputs, so that each device holds a share of them, and computes a share of the
channels.

    keras.distribution.set_distribution(model_parallel(entry("axial_deeplab_swidernet_1_1_4_5").spec, 8))
"""

from __future__ import annotations

import keras

from axialzoo.spec import Model, SpecError, parameters

CUT = ("conv", "linear")  # roles of tensors that are cut: kernels of convolutions, projections of attention
LEAST = 1 << 16  # values of a tensor that is worth cutting


def data_parallel(devices: int) -> keras.distribution.DataParallel:
    """Every batch shared by the first `devices` devices.

    Raises:
        SpecError: where there are fewer, or the back end is not JAX.
    """
    return keras.distribution.DataParallel(devices=_first(devices), auto_shard_dataset=False)


def model_parallel(spec: Model, devices: int, batch: int = 1, least: int = LEAST) -> keras.distribution.ModelParallel:
    """The large kernels of a model cut over `devices` devices, by :func:`layout_of`.

    Args:
        spec: Of the model that will be made.
        devices: How many hold a model together.
        batch: How many such groups share each batch.
        least: Values of the smallest tensor that is cut.

    Raises:
        SpecError: where there are fewer devices than both together need, or the back end is not JAX.
    """
    mesh = keras.distribution.DeviceMesh((batch, devices), ("batch", "model"), _first(batch * devices))
    layout = keras.distribution.LayoutMap(mesh)
    for path, axes in layout_of(spec, devices, least).items():
        layout[path] = axes
    return keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch", auto_shard_dataset=False)


def layout_of(spec: Model, devices: int, least: int = LEAST) -> dict[str, tuple[str | None, ...]]:
    """Of each variable that is cut its path, and along which axis: the last, which is the outputs.

    Cut are kernels and projections of at least `least` values whose outputs `devices` divides; what is small is in every device.

    Example:
        >>> from axialzoo.keras.distribution import layout_of
        >>> from axialzoo.spec import entry
        >>> layout_of(entry("axial_resnet50_s").spec, 2)["stages/3/blocks/2/expand/conv/kernel"]
        (None, None, None, 'model')
    """
    found: dict[str, tuple[str | None, ...]] = {}
    for one in parameters(spec):
        shape = one.keras_shape
        if one.role in CUT and one.size >= least and shape[-1] % devices == 0:
            found[one.keras_name.replace(".", "/")] = (*(None,) * (len(shape) - 1), "model")
    return found


def _first(count: int) -> list[str]:
    """Names of the first devices."""
    if keras.backend.backend() != "jax":
        raise SpecError(f"devices: several need Keras on JAX, found {keras.backend.backend()}; set KERAS_BACKEND=jax")
    there = keras.distribution.list_devices()
    if len(there) < count:
        raise SpecError(
            f"devices: expected at least {count}, found {', '.join(there)}; a processor counts as several with "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count}"
        )
    return there[:count]
