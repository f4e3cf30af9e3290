"""The model class: a backbone, a head and the public methods."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from torch import Tensor, nn

from axialzoo.image import Picture
from axialzoo.spec import Model, SpecError, adapt
from axialzoo.spec.check import check_trainable
from axialzoo.spec.neighbours import is_last_layer, refuse_last_layer
from axialzoo.torch.backbone import Extractor
from axialzoo.torch.heads import HeadModule, make_head
from axialzoo.torch.hub_mixin import HubMixin
from axialzoo.torch.norm import set_sync_norms
from axialzoo.torch.preprocessing import Preprocess

Y = TypeVar("Y", covariant=True)
PLAIN = (nn.Linear, nn.LazyLinear, nn.Identity, nn.Sequential, nn.Conv2d)  # no head, nor a wrapper of one


class AxialModel(Extractor, HubMixin, Generic[Y]):
    """Backbone and head: images to a tensor or, for heads with several outputs, a dictionary of tensors by name.

    Args:
        spec: Its architecture; it has a head.

    Attributes:
        num_classes: Number of classes.
        head: The head's module.
        spec, config, name, num_features, feature_info: See :class:`Extractor`.

    Shapes:
        ``(N, 3, H, W)`` of any height and width; outputs as ``spec.head.outputs`` names them, the same in training.

    Example:
        >>> from axialzoo.torch import axial_resnet_cifar10_xs
        >>> import torch
        >>> model = axial_resnet_cifar10_xs(num_classes=5)
        >>> model(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 5])
    """

    def __init__(self, spec: Model):
        super().__init__(spec)
        if spec.head is None:
            raise SpecError("AxialModel: expected a spec with a head, found none; AxialBackbone gives features alone")
        self.num_classes = spec.num_classes
        self.endpoint_indices = spec.head.endpoints(spec.backbone)
        self.head: HeadModule[Any] = make_head(spec.head, spec.backbone)

    def __setattr__(self, name: str, value: Any) -> None:
        if is_last_layer(name) and isinstance(value, nn.Module) and (name != "head" or type(value) in PLAIN):
            refuse_last_layer(name, self.num_classes)
        super().__setattr__(name, value)

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Y: ...

    def forward(self, x: Tensor) -> Y:
        return self.head(self.features(x))

    def features(self, x: Tensor) -> list[Tensor]:
        """Return the endpoints that the head takes in, activated unless it activates them itself.

        The backbone's memory tokens follow, if any, or the image if the head takes it in too.
        """
        outputs, memory = self.unactivated(x)
        head = self.spec.head
        assert head is not None
        if head.unactivated:
            features = [*(outputs[index] for index in self.endpoint_indices), *([] if memory is None else [memory])]
        else:
            features = [self.activated([outputs[index]])[0] for index in self.endpoint_indices]
        return [*features, x] if head.takes_image else features

    def forward_features(self, x: Tensor) -> Any:
        """Return the input of the head: one endpoint, (N, C, H', W'), or a list where it takes several; see :meth:`features`."""
        features = self.features(x)
        return features[0] if len(features) == 1 else features

    def forward_head(self, x: Any, pre_logits: bool = False) -> Y:
        """Compute the outputs, or the pre-logits, from the result of :meth:`forward_features`."""
        return self.head([x] if isinstance(x, Tensor) else x, pre_logits)

    def get_classifier(self) -> Any:
        """Return the last layer, which computes the class logits."""
        return self.head.get_classifier()

    def reset_classifier(self, num_classes: int, **options: Any) -> Self:
        """Change the number of classes in place, and return the model: layers that depend on it are newly initialised, all others stay.

        Args:
            num_classes: Number of classes; 0 for none, where the head can do without.
            options: Other options of the head, as the builders take them.
        """
        check_trainable(self, "reset_classifier")
        spec, tensors = adapt(self.spec, num_classes=num_classes, **options), self.head.state_dict()
        assert spec.head is not None
        like = next(self.parameters())
        head = make_head(spec.head, spec.backbone).to(like.device, like.dtype).train(self.head.training)
        for name, target in head.state_dict().items():
            if name in tensors and tensors[name].shape == target.shape:
                target.copy_(tensors[name])
        self.head, self.spec, self.num_classes = head, spec, num_classes
        self.config = None if self.config is None else self.config.adapted(spec)
        return self

    def set_sync_norms(self, enable: bool = True) -> None:
        """Synchronise the norms' batch statistics over all processes of the default group; False undoes it."""
        set_sync_norms(self, enable)

    def preprocess(self, pictures: Tensor | Picture | Sequence[Tensor | Picture]) -> Tensor:
        """Return pictures as the model's input, (N, 3, H, W), on the model's device and of its dtype.

        Args:
            pictures: A path, a Pillow picture, an array (H, W, 3) or a tensor (3, H, W) of 0 to 255, or a list of such.
        """
        x = Preprocess(self.preprocessing)(pictures)
        return (x if x.dim() == 4 else x[None]).to(next(itertools.chain(self.parameters(), self.buffers())))
