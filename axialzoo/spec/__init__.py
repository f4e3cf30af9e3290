"""Describes models: frozen dataclasses, their JSON, the registry, the parameter list and the cost. Standard library only."""

from axialzoo.spec.adapt import Changes, adapt, same_architecture, without_head
from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, Norm, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.check import SpecError, did_you_mean
from axialzoo.spec.codec import from_dict, to_dict
from axialzoo.spec.cost import Cost, cost
from axialzoo.spec.heads import Head, Output
from axialzoo.spec.kinds import KINDS
from axialzoo.spec.labels import Label, label_name
from axialzoo.spec.layers import num_parameters, parameters
from axialzoo.spec.model import Model, size_pair
from axialzoo.spec.neck import NeckStage
from axialzoo.spec.preprocessing import Preprocessing
from axialzoo.spec.primitives import ROLES, Parameter
from axialzoo.spec.registry import ModelEntry, aliases, get_entry, is_registered, list_models, register
from axialzoo.spec.stem import Stem, StemConv

from axialzoo.spec import zoo  # registers the named models  # isort: skip

__all__ = [
    "KINDS", "ROLES", "Attention", "Backbone", "Block", "Changes", "Cost", "ModelEntry", "Head", "Label", "Model", "NeckStage", "Norm",
    "Output", "Parameter", "Preprocessing", "SpecError", "Stage", "Stem", "StemConv", "adapt", "aliases", "cost", "num_parameters",
    "did_you_mean", "get_entry", "from_dict", "is_registered", "label_name", "list_models", "parameters", "register",
    "same_architecture", "size_pair", "to_dict", "without_head", "zoo",
]  # fmt: skip
