"""The model class: a backbone, a head and the public methods."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from axialzoo.keras.backbone import Extractor
from axialzoo.keras.functional import outputs_to_data_format
from axialzoo.keras.heads import HeadModule, make_head
from axialzoo.keras.hub_mixin import HubMixin
from axialzoo.keras.losses import defaults_of, loss_of, refuse_one_hot, refuse_probabilities
from axialzoo.keras.preprocessing import Preprocess
from axialzoo.keras.weights import load_tensors, to_tensors
from axialzoo.spec import Model, SpecError, adapt
from axialzoo.spec.check import check_trainable
from axialzoo.spec.neighbours import is_last_layer, refuse_last_layer


@keras.saving.register_keras_serializable(package="axialzoo")
class AxialModel(Extractor, HubMixin):
    """Backbone and head: images to a tensor or, for heads with several outputs, a dictionary of tensors by name.

    Args:
        spec: Its architecture; it has a head.
        input_size, data_format, dtype: As for :class:`Extractor`.

    Attributes:
        num_classes: Number of classes.
        head: The head's module.
        spec, config, name, num_features, feature_info: See :class:`Extractor`.

    Shapes:
        ``(N, H, W, 3)`` of any height and width, or channels second; outputs as ``spec.head.outputs`` names them, the same in
        training.

    Example:
        >>> from axialzoo.keras import axial_resnet_cifar10_xs
        >>> axial_resnet_cifar10_xs(num_classes=5).output_shape
        (None, 5)
    """

    def __init__(self, spec: Model, **kwargs):
        if spec.head is None:
            raise SpecError("AxialModel: expected a spec with a head, found none; AxialBackbone gives features alone")
        self._head_and_inputs: list[Any] = []
        super().__init__(spec, **kwargs)
        self.num_classes = spec.num_classes
        self.endpoint_indices = spec.head.endpoints(spec.backbone)
        self.own_loss, self.loss_options = False, {}

    def __setattr__(self, name: str, value: Any) -> None:
        if is_last_layer(name) and isinstance(value, keras.layers.Layer):
            refuse_last_layer(name, self.num_classes)
        super().__setattr__(name, value)

    def _outputs(self, features: list, memory: Any, image: Any, spec: Model, data_format: str, dtype) -> Any:
        assert spec.head is not None
        head, indices = make_head(spec.head, spec.backbone, dtype), spec.head.endpoints(spec.backbone)
        if spec.head.unactivated:
            inputs = [*(features[index] for index in indices), *([] if memory is None else [memory])]
        else:
            endpoints = self._activated(features, spec, dtype)
            inputs = [endpoints[index] for index in indices]
        inputs += [image] if spec.head.takes_image else []
        self._head_and_inputs += [head, inputs]
        self._training_only = {name for name, output in spec.head.outputs(spec.backbone).items() if output.training}
        return outputs_to_data_format(head(inputs), data_format, "head", head.output_dtype)

    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training, mask=mask)
        if not self._training_only or training:
            return outputs
        return {name: value for name, value in outputs.items() if name not in self._training_only}

    @property
    def head(self) -> HeadModule:
        """The head's module."""
        return self._head_and_inputs[0]

    def forward_features(self, x: Any) -> Any:
        """Return the input of the head, channels last: one activated endpoint, (N, H', W', C), or a list where it takes several."""
        features = self._head_and_inputs[1]
        return keras.Model(self.input, features[0] if len(features) == 1 else features)(x)

    def forward_head(self, x: Any, pre_logits: bool = False) -> Any:
        """Compute the outputs, or the pre-logits, from the result of :meth:`forward_features`."""
        return self.head(x if isinstance(x, (list, tuple)) else [x], pre_logits)

    def get_classifier(self) -> Any:
        """Return the last layer, which computes the class logits."""
        return self.head.get_classifier()

    def reset_classifier(self, num_classes: int, **options: Any) -> AxialModel:
        """Return a model for another number of classes: layers that depend on it are newly initialised, all others keep their values.

        A functional model cannot change in place, as PyTorch's does: ``model = model.reset_classifier(3)`` is right in both frameworks.

        Args:
            num_classes: Number of classes; 0 for none, where the head can do without.
            options: Other options of the head, as the builders take them.
        """
        check_trainable(self, "reset_classifier")
        spec = adapt(self.spec, num_classes=num_classes, **options)
        model = AxialModel(spec, input_size=self.input_size, data_format=self.data_format, dtype=self.dtype_policy, name=self.name)
        fresh, old = to_tensors(model), to_tensors(self)
        load_tensors(model, {name: old[name] if name in old and old[name].shape == new.shape else new for name, new in fresh.items()})
        model.config = None if self.config is None else self.config.adapted(spec)
        return model

    def compile(
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, *, loss_options: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Compile the model as Keras does; without a loss, take the head's loss and metrics.

        Args:
            optimizer, loss, metrics, **kwargs: See :meth:`keras.Model.compile`.
            loss_options: Options of the head's own loss, :func:`axialzoo.keras.losses.loss_of`; targets are then the dictionary of the
                task.

        Raises:
            ValueError: for a loss that expects probabilities, since the model gives logits.
        """
        head = self.spec.head
        assert head is not None
        if loss is not None:
            refuse_probabilities(loss, self.name)
        elif loss_options is None:
            loss, default_metrics = defaults_of(head)
            metrics = default_metrics if metrics is None else metrics
        self.own_loss, self.loss_options = loss is None, loss_options or {}
        self._compile_metrics = None  # Keras keeps the earlier ones where there are no others
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        if self.restored:  # from a file, which fills the optimizer's variables; for .h5 Keras makes those of the outermost layer alone
            self.restored = False
            self.optimizer.build(self.trainable_variables)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        if self.loss_options and str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(f"{filepath}: a file of this format holds no loss_options; save the model as .keras")
        super().save(filepath, *args, **kwargs)

    def get_compile_config(self) -> dict[str, Any]:
        """Return the arguments of :meth:`compile`, for files and copies of the model."""
        config = super().get_compile_config()
        return {**config, "loss_options": self.loss_options} if config and self.loss_options else config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile the model by what :meth:`get_compile_config` returned, and make its optimizer's variables, which a file fills."""
        self.restored = True
        self.compile(**keras.saving.deserialize_keras_object(config))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        refuse_one_hot(self.loss, y, y_pred)
        if not self.own_loss:
            return super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if sample_weight is not None:
            raise ValueError("fit: the head's own loss takes no sample_weight; put weights into the targets, or compile a loss of yours")
        assert self.spec.head is not None
        return sum(self.losses, loss_of(self.spec.head)(y_pred, y, self.spec.head, **self.loss_options)["total"])

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        refuse_one_hot(self.loss, y, y_pred)  # JAX and PyTorch compute metrics before the first loss
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def preprocess(self, pictures: Any) -> Any:
        """Return pictures as the model's input, (N, H, W, 3) float32, or channels second where the model has them so.

        Args:
            pictures: A path, a Pillow picture, an array (H, W, 3) of 0 to 255, or a list of such; or a tensor of 0 to 255, laid out
                as the model's input.
        """
        pictures = [pictures] if isinstance(pictures, np.ndarray) else pictures
        x: Any = Preprocess(self.preprocessing, self.data_format)(pictures)
        return x if len(x.shape) == 4 else x[None]


keras.saving.get_custom_objects()[AxialModel.__name__] = AxialModel  # .h5 files hold names of classes without their package
