"""Our classification models in timm: after ``import axialzoo.timm``, ``timm.create_model("axial_resnet50_s")`` makes one.

timm's own names stay timm's: a model of ours that it has too (``resnet50``) is ``axialzoo_resnet50`` there.
Annotations are evaluated here, unlike elsewhere: graphs and scripts of PyTorch read no annotations that are text.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from timm.layers import register_notrace_module
from timm.models import build_model_with_cfg, is_model, register_model
from timm.models._registry import generate_default_cfgs
from torch import Tensor, nn

from axialzoo.checkpoint import default_config
from axialzoo.hub import plan_build, resolve
from axialzoo.spec import Model, Preprocessing, SpecError, adapt, get_entry, list_models
from axialzoo.torch.attention import AxialAttention
from axialzoo.torch.attention2d import Attention2D
from axialzoo.torch.model import AxialModel
from axialzoo.torch.neck import FeatureFusion
from axialzoo.torch.norm import BatchNorm
from axialzoo.torch.weights import load_tensors


class Eager(nn.Module):
    """A module that `torch.jit.script` leaves in Python: scripted models with it run, but PyTorch refuses to save them."""

    __constants__ = ("number",)
    held: ClassVar[list[nn.Module]] = []  # a script keeps no modules of Python, so these last as long as the process

    def __init__(self, module: nn.Module):
        super().__init__()
        self.number = len(self.held)
        self.held.append(module)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x)

    @torch.jit.ignore
    def run(self, x: Tensor) -> Tensor:
        return Eager.held[self.number](x)


LEAVES = (AxialAttention, Attention2D, FeatureFusion, BatchNorm)  # what asks of sizes and modes: a step of its own in a graph of torch.fx
for layer in LEAVES:
    register_notrace_module(layer)
    setattr(layer, "__prepare_scriptable__", lambda module: Eager(module))  # noqa: B010  # nothing that PyTorch declares


class TimmModel(AxialModel[Tensor]):
    """An :class:`axialzoo.torch.AxialModel` with timm's constructor and methods.

    Args:
        name: In our registry.
        num_classes: 0 gives the pooled features.
        in_chans: Channels of the images.
        global_pool: ``"avg"``, or ``""`` for the last map as it is, without classes.
        drop_path_rate: Of the last block; see ``drop_path`` of :class:`axialzoo.spec.Changes`.
        drop_rate: timm's dropout before the classifier, which these models have none of: 0.
        device, dtype: Of the tensors; ``"meta"`` for none but their shapes.

    Attributes:
        head_hidden_size: Channels before the classifier.
        in_chans: As given.
        global_pool: As given.

    Raises:
        ValueError: for another pooling, and for dropout.
    """

    def __init__(
        self,
        name: str,
        num_classes: int = 1000,
        in_chans: int = 3,
        global_pool: str = "avg",
        drop_path_rate: float | None = None,
        drop_rate: float = 0.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ):
        if drop_rate:
            raise SpecError(f"drop_rate: these models have no dropout before the classifier; expected 0, found {drop_rate}")
        changes: dict[str, Any] = {"num_classes": num_classes, "in_channels": in_chans, "drop_path": drop_path_rate}
        super().__init__(adapt(get_entry(name).spec, **{key: value for key, value in changes.items() if value is not None}))
        self.name = name
        self.to(device, dtype)
        self.head_hidden_size, self.in_chans = self.num_features, in_chans
        self._pool_by(global_pool)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Turn the last map (N, C, H', W') into logits (N, num_classes) or pooled features (N, C); without pooling, return it as it is."""
        return self.head([x], pre_logits) if self.global_pool else x

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Return the last map and the endpoints of `indices`. The arguments are timm's; `norm` and `stop_early` have no effect."""
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt: expected 'NCHW', found {output_fmt!r}")
        from timm.models._features import feature_take_indices

        outputs = self.endpoints(x)
        taken, _ = feature_take_indices(len(outputs), indices)
        features = [outputs[index] for index in taken]
        return features if intermediates_only else (outputs[-1], features)

    def reset_classifier(self, num_classes: int, global_pool: str | None = None, **options: Any) -> Self:
        """Replace the classifier: see :meth:`axialzoo.torch.AxialModel.reset_classifier`.

        `global_pool` stays unless it is set; classes for a model that did not pool turn pooling on.
        """
        super().reset_classifier(num_classes, **options)
        if global_pool is None:
            global_pool = self.global_pool or ("avg" if num_classes else "")
        self._pool_by(global_pool)
        return self

    def __prepare_scriptable__(self) -> nn.Module:
        return Eager(self)

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return patterns that assign parameters to layers, for layer-wise decay of the learning rate."""
        return {
            "stem": r"^stem",
            "blocks": r"^stages\.(\d+)" if coarse else [(r"^stages\.(\d+)\.blocks\.(\d+)", None), (r"^neck", (99999,))],
        }

    def _pool_by(self, kind: str) -> None:
        if kind not in ("avg", ""):
            raise SpecError(f"global_pool: expected 'avg' or '', found {kind!r}")
        if not kind and self.num_classes:
            raise SpecError(f"global_pool='': expected num_classes=0, found {self.num_classes}; classes are of the pooled features")
        self.global_pool = kind


def default_cfg(name: str) -> dict[str, Any]:
    """Return timm's default configuration of the model `name`."""
    spec, preprocessing = get_entry(name).spec, default_config(get_entry(name).spec, name).preprocessing
    weights = [where for where in get_entry(name).weights.values() if where.startswith("package:")]
    height, width = spec.input_size
    stride = spec.backbone.feature_info()[-1]["reduction"]
    return {
        "url": "",
        **({"file": str(resolve(next(iter(weights))) / "model.safetensors")} if weights else {}),
        "num_classes": spec.num_classes,
        "input_size": (spec.backbone.in_channels, height, width),
        "pool_size": (-(-height // stride), -(-width // stride)),
        **data_cfg(preprocessing),
        "first_conv": first_conv(spec),
        "classifier": "head.fc",
        "license": "apache-2.0",
    }


def data_cfg(preprocessing: Preprocessing) -> dict[str, Any]:
    """Return the fields of timm's configuration that say how a picture is preprocessed."""
    return {
        "crop_pct": preprocessing.crop,
        "interpolation": preprocessing.interpolation,
        "mean": preprocessing.mean,
        "std": preprocessing.std,
    }


def first_conv(spec: Model) -> str:
    """Return the name of the module that takes in the images."""
    return "stem.0.conv" if spec.backbone.stem.convs else "stages.0.blocks.0.reduce.conv"


def _made(name: str, pretrained: bool, **options: Any) -> TimmModel:
    """Build the model, with its weights if requested; tensors that do not fit another number of classes or channels start new."""
    model = TimmModel(name, **options)
    if pretrained:
        planned = plan_build(name, True, num_classes=model.num_classes, in_channels=model.spec.backbone.in_channels)
        assert planned.checkpoint is not None
        load_tensors(model, planned.checkpoint.tensors, replace=planned.replace, verified=True)
        model.config = planned.config
    return model


def _entrypoint(name: str, known: str) -> Callable[..., Any]:
    """Return timm's builder of our model `name`, called `known` there."""

    def make(pretrained: bool = False, **options: Any) -> Any:
        features = {"feature_cls": "getter", "out_indices": tuple(range(len(get_entry(name).spec.backbone.feature_info())))}
        built: list[TimmModel] = []

        def build(**arguments: Any) -> TimmModel:
            built.append(_made(name, pretrained, **arguments))
            return built[-1]

        model = build_model_with_cfg(build, known, False, feature_cfg=features, **options)
        if pretrained and built and (config := built[-1].config) is not None:  # the weights' own preprocessing, whatever the registry's is
            size = (model.pretrained_cfg["input_size"][0], *config.preprocessing.size)
            model.pretrained_cfg = model.default_cfg = {**model.pretrained_cfg, **data_cfg(config.preprocessing), "input_size": size}
        return model

    make.__name__ = make.__qualname__ = known
    make.__module__ = __name__
    make.__doc__ = f"{get_entry(name).summary}. Source: {get_entry(name).source}."
    return make


OURS = {f"axialzoo_{name}" if is_model(name) else name: name for name in list_models(task="classification")}  # timm's name -> ours
default_cfgs = generate_default_cfgs({known: default_cfg(name) for known, name in OURS.items()})
for known, name in OURS.items():
    globals()[known] = register_model(_entrypoint(name, known))
