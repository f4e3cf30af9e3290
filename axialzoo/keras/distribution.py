"""Training and inference on several devices, by keras.distribution. Set a distribution before building a model. Keras has it on JAX.

Data parallel: every device has the whole model and a share of each batch; norms still take the statistics of the whole batch.
Model parallel: the large kernels are cut along their outputs. Each device holds a share of them, and computes a share of the channels.

    keras.distribution.set_distribution(model_parallel(get_entry("axial_deeplab_swidernet_1_1_4_5").spec, 8))
"""

from __future__ import annotations

import keras

from axialzoo.spec import Model, SpecError, parameters

CUT = ("conv", "linear")  # roles of tensors that are cut: kernels of convolutions, projections of attention
LEAST = 1 << 16  # values of a tensor that is worth cutting


def data_parallel(devices: int) -> keras.distribution.DataParallel:
    """Share each batch among the first `devices` devices.

    Raises:
        SpecError: where there are fewer, or the back end is not JAX.
    """
    return keras.distribution.DataParallel(devices=_first(devices), auto_shard_dataset=False)


def model_parallel(spec: Model, devices: int, batch: int = 1, least: int = LEAST) -> keras.distribution.ModelParallel:
    """Cut the large kernels of a model over `devices` devices, by :func:`layout_of`.

    Args:
        spec: Spec of the model to build.
        devices: Number of devices that hold a model together.
        batch: Number of such groups, which share each batch.
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
    """Return the layout of each variable that is cut, by its path; the last axis, the outputs, is cut.

    Kernels and projections of at least `least` values are cut if `devices` divides their outputs. Every device holds all other variables.

    Example:
        >>> from axialzoo.keras.distribution import layout_of
        >>> from axialzoo.spec import get_entry
        >>> layout_of(get_entry("axial_resnet50_s").spec, 2)["stages/3/blocks/2/expand/conv/kernel"]
        (None, None, None, 'model')
    """
    layout: dict[str, tuple[str | None, ...]] = {}
    for parameter in parameters(spec):
        shape = parameter.keras_shape
        if parameter.role in CUT and parameter.size >= least and shape[-1] % devices == 0:
            layout[parameter.keras_name.replace(".", "/")] = (*(None,) * (len(shape) - 1), "model")
    return layout


def _first(count: int) -> list[str]:
    """Return the names of the first `count` devices."""
    if keras.backend.backend() != "jax":
        raise SpecError(f"devices: several need Keras on JAX, found {keras.backend.backend()}; set KERAS_BACKEND=jax")
    available = keras.distribution.list_devices()
    if len(available) < count:
        raise SpecError(
            f"devices: expected at least {count}, found {', '.join(available)}; a processor counts as several with "
            f"XLA_FLAGS=--xla_force_host_platform_device_count={count}"
        )
    return available[:count]
