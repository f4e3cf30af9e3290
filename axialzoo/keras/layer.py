"""Base class of layers that hold other layers: it recomputes them in the backward pass and saves which of them are frozen."""

from __future__ import annotations

import keras
from keras import ops


class Layer(keras.layers.Layer):
    """A layer that a `keras.RematScope` recomputes in the backward pass; its moving statistics are updated once.

    Keras's own way updates them again with each computation, and fails on JAX. The recomputation runs outside of the model's call,
    so every layer passes `training` on explicitly.

    Its config lists the frozen layers inside, so that copies and files of models keep them frozen.
    """

    _frozen: tuple[int, ...] | None = None  # numbers of the layers inside to freeze once it is built; None for no change

    def _post_build(self):
        super()._post_build()
        if self._frozen is not None:
            for number, layer in enumerate(self._flatten_layers(include_self=False)):  # outer layers first
                layer.trainable = number not in self._frozen
            self._frozen = None

    def get_config(self) -> dict:
        frozen = [number for number, layer in enumerate(self._flatten_layers(include_self=False)) if not layer.trainable]
        return {**super().get_config(), **({"frozen": frozen} if frozen else {})}

    @classmethod
    def from_config(cls, config: dict):
        config = {**config}
        frozen = config.pop("frozen", None)
        layer = super().from_config(config)
        layer._frozen = None if frozen is None else tuple(frozen)
        return layer

    def rematerialized_call(self, layer_call, *args, **kwargs):
        if super().rematerialized_call(layer_call, *args, **kwargs) is layer_call:
            return layer_call
        variables = self.variables

        def rematerialized(*args, **kwargs):
            def pure(values, *args):
                with keras.StatelessScope(list(zip(variables, values))) as scope:
                    y = layer_call(*args, **kwargs)
                updated = [scope.get_current_value(variable) for variable in variables]
                return y, *(value if new is None else new for value, new in zip(values, updated))

            y, *updated = keras.remat(pure)([ops.convert_to_tensor(variable.value) for variable in variables], *args)
            for variable, value in zip(variables, updated):
                if not variable.trainable:
                    variable.assign(ops.stop_gradient(value))
            return y

        return rematerialized
