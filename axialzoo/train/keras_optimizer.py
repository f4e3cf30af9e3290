"""SGD and AdamW in Keras as PyTorch computes them, in float64 too.

Keras's own make float32 of float64 on JAX and PyTorch, as `keras.ops` do; operators on the back end's tensors keep it. Keras's AdamW adds
its epsilon to ``sqrt(v)`` ("epsilon hat" in arXiv:1412.6980, section 2), which is 31 times as much at the first step as PyTorch's.
"""

from __future__ import annotations

# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportOptionalOperand=false
import keras
from keras import ops


class ExactDecay:
    """Decoupled weight decay in the dtype of the weights."""

    def _apply_weight_decay(self, variables):
        for variable in variables:
            if self.weight_decay is not None and self._use_weight_decay(variable):
                rate = ops.cast(self._get_current_learning_rate(), variable.dtype)
                self.assign(variable, ops.convert_to_tensor(variable) * (1 - rate * self.weight_decay))


@keras.saving.register_keras_serializable(package="axialzoo")
class SGD(ExactDecay, keras.optimizers.SGD):
    """SGD with Nesterov's momentum, whose velocity holds the learning rates of its steps."""

    def update_step(self, gradient, variable, learning_rate):
        step = ops.cast(gradient, variable.dtype) * ops.cast(learning_rate, variable.dtype)
        if not self.momentum:
            self.assign(variable, ops.convert_to_tensor(variable) - step)
            return
        slot = self.momentums[self._get_variable_index(variable)]
        velocity = ops.convert_to_tensor(slot) * self.momentum - step
        self.assign(slot, velocity)
        self.assign(variable, ops.convert_to_tensor(variable) + (velocity * self.momentum - step if self.nesterov else velocity))


@keras.saving.register_keras_serializable(package="axialzoo")
class AdamW(ExactDecay, keras.optimizers.AdamW):
    """AdamW whose epsilon is added to the corrected root of the second moment: ``m / c1 / (sqrt(v / c2) + epsilon)``."""

    def update_step(self, gradient, variable, learning_rate):
        gradient, rate = ops.cast(gradient, variable.dtype), ops.cast(learning_rate, variable.dtype)
        steps = ops.cast(self.iterations, variable.dtype) + 1
        index = self._get_variable_index(variable)
        first, second = self._momentums[index], self._velocities[index]
        m, v = ops.convert_to_tensor(first), ops.convert_to_tensor(second)
        m = m + (gradient - m) * (1 - self.beta_1)
        v = v + (gradient * gradient - v) * (1 - self.beta_2)
        self.assign(first, m)
        self.assign(second, v)
        root = (v / (1 - self.beta_2**steps)) ** 0.5
        self.assign(variable, ops.convert_to_tensor(variable) - rate / (1 - self.beta_1**steps) * m / (root + self.epsilon))


def smaller(a, b):
    """Return the smaller of two tensors in their dtype; `keras.ops.minimum` returns float32 of float64 on some back ends."""
    is_first = ops.cast(a < b, a.dtype)
    return a * is_first + b * (1 - is_first)
