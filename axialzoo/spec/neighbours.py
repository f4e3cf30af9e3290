"""Arguments and attributes as other libraries name them, refused with our names."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from axialzoo.spec.check import SpecError, did_you_mean
from axialzoo.spec.renamed import renamed_hint

ARGUMENTS: dict[str, dict[str, str]] = {  # library, in the genitive -> its name -> ours
    "timm's": {
        "in_chans": "in_channels",
        "img_size": "input_size",
        "drop_path_rate": "drop_path",
        "checkpoint_path": "pretrained",
        "pretrained_cfg": "pretrained=FOLDER, whose config.json has the preprocessing",
        "exportable": "the export of any model, `axialzoo export`",
        "scriptable": "the export of any model, `axialzoo export`",
    },
    "torchvision's": {
        "weights": "pretrained=True (or a tag, a folder, 'org/repo')",
        "weights_backbone": "pretrained=True, of which features_only=True takes the backbone",
        "stochastic_depth_prob": "drop_path",
        "replace_stride_with_dilation": "output_stride",
        "trainable_backbone_layers": "requires_grad_(False), or trainable=False, of the layers that stay frozen",
        "min_size": "input_size",
        "max_size": "input_size",
    },
    "Keras's": {
        "include_top": "features_only=True (include_top=False), or num_classes=0 with pooling",
        "classes": "num_classes",
        "input_shape": "input_size=(height, width), and in_channels",
        "input_tensor": "a call, model(tensor)",
        "pooling": "num_classes=0, which gives the mean of the last features",
        "classifier_activation": "softmax of the outputs, which are logits",
    },
    "transformers'": {
        "num_labels": "num_classes",
        "id2label": "labels=[...] of save_model",
        "image_size": "input_size",
        "num_channels": "in_channels",
        "ignore_mismatched_sizes": "num_classes alone: what depends on it starts new, with a warning",
        "torch_dtype": "model.to(dtype)",
        "device_map": "model.to(device)",
        "revision": "'org/repo@revision'",
        "cache_dir": "the environment variable HF_HOME",
        "local_files_only": "the environment variable HF_HUB_OFFLINE=1",
        "token": "the login, `hf auth login`",
        "use_auth_token": "the login, `hf auth login`",
        "branch": "revision",
        "save_directory": "the folder, the first argument",
    },
    "ultralytics'": {"nc": "num_classes", "ch": "in_channels", "imgsz": "input_size"},
    "": {
        **dict.fromkeys(("pretrain", "pre_trained", "use_pretrained", "pretrained_weights"), "pretrained"),
        **dict.fromkeys(("n_classes", "nb_classes", "num_class", "n_class", "class_num", "number_of_classes"), "num_classes"),
        **dict.fromkeys(("channels", "n_channels", "input_channels", "in_ch", "in_dim"), "in_channels"),
        **dict.fromkeys(("size", "image_shape", "resolution"), "input_size"),
        **dict.fromkeys(("drop_connect_rate", "stochastic_depth", "drop_path_prob"), "drop_path"),
        **dict.fromkeys(("feature_only", "return_features", "backbone_only"), "features_only"),
        **dict.fromkeys(("out_features", "return_layers", "return_nodes"), "out_indices, with features_only=True"),
        "device": "model.to(device)",
        "compute_dtype": "dtype, in Keras",
    },
}
ABSENT = {  # names of what these models do not have, and why
    "drop_rate": "they have no dropout before their last layer",
    "dropout": "they have no dropout before their last layer",
    "attn_drop_rate": "they have no dropout of attention",
    "global_pool": "they take the mean; features_only=True gives features that are not pooled",
    "progress": "fetching shows its progress by itself",
    "aux_loss": "they have no auxiliary head",
    "zero_init_residual": "the initialisation is that of the papers",
    "norm_layer": "the norm is part of the spec: axialzoo.spec.adapt, dataclasses.replace",
    "act_layer": "the activation is part of the spec: axialzoo.spec.adapt, dataclasses.replace",
    "trust_remote_code": "no code is ever loaded with weights",
    "safe_serialization": "weights are always written as safetensors",
    "max_shard_size": "weights are always one file",
    "commit_message": "the commit names the model and its digest",
    "create_pr": "write to a branch instead (revision=), and open the request there",
}
BUILDER = ("pretrained", "features_only", "out_indices")  # arguments of every builder beside its changes
DEFAULTS = ("default", "imagenet", "imagenet1k_v1", "imagenet1k_v2", "imagenet21k", "coco", "true", "yes")  # others' names of weights
LAST_LAYERS = re.compile("fc|classif.*|heads?|last_linear|top")


def hint(name: str, known: Collection[str]) -> str:
    """Return what follows ``unknown argument 'x'`` in a message: our name of it, the nearest known name, or ``""``."""
    for library, names in ARGUMENTS.items():
        if name in names:
            return f"; {library}{' ' if library else ''}{name} is {names[name]} here"
    if name in ABSENT:
        return f"; leave it out: {ABSENT[name]}"
    return renamed_hint(name, known) or did_you_mean(name, known)


def check_arguments(names: Iterable[str], known: Collection[str], where: str = "model") -> None:
    """Refuse arguments that are not known.

    Args:
        names: Names of the arguments.
        known: Names that are known.
        where: Function or thing whose arguments they are, for the message.

    Raises:
        SpecError: for the first unknown one, with our name of it and all known names.
    """
    for name in names:
        if name not in known:
            raise SpecError(f"{where}: unknown argument {name!r}{hint(name, known)}; known: {', '.join(known)}")


def is_last_layer(name: str) -> bool:
    """Tell whether other libraries call the last layer of a model so."""
    return LAST_LAYERS.fullmatch(name) is not None


def refuse_last_layer(name: str, has: int) -> None:
    """Refuse a new last layer as people put it into models of other libraries.

    Args:
        name: Attribute that it was assigned to.
        has: Number of classes of the model.

    Raises:
        SpecError: naming `reset_classifier`.
    """
    raise SpecError(
        f"model.{name} = ...: expected the last layer to stay that of the spec, which has {has} classes; for another number call "
        "model.reset_classifier(num_classes) (in Keras, model = model.reset_classifier(num_classes)); for features take num_classes=0 "
        "or features_only=True"
    )
