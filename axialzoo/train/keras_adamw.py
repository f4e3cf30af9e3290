"""AdamW in Keras with PyTorch's epsilon, so that a run in either framework takes the same steps."""

from __future__ import annotations

# pyright: reportArgumentType=false, reportOperatorIssue=false
import keras
from keras import ops


@keras.saving.register_keras_serializable(package="axialzoo")
class AdamW(keras.optimizers.AdamW):
    """AdamW whose epsilon is added to the corrected root of the second moment: ``m / c1 / (sqrt(v / c2) + epsilon)``.

    Keras's own adds it to ``sqrt(v)`` ("epsilon hat" in arXiv:1412.6980, section 2), which is 31 times as much at the first step with
    a second beta of 0.999.
    """

    def update_step(self, gradient, variable, learning_rate):
        steps = ops.cast(self.iterations + 1, variable.dtype)
        correction = ops.sqrt(1 - ops.power(ops.cast(self.beta_2, variable.dtype), steps))
        epsilon, self.epsilon = self.epsilon, self.epsilon * correction
        try:
            super().update_step(gradient, variable, learning_rate)
        finally:
            self.epsilon = epsilon
