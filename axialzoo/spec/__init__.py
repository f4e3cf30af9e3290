"""What a model is: frozen dataclasses, their JSON, the registry, the parameter list and the cost. Standard library only."""

from axialzoo.spec.attention import Attention
from axialzoo.spec.backbone import Backbone, DecoderStage, Norm, Stage
from axialzoo.spec.block import Block
from axialzoo.spec.check import SpecError, did_you_mean
from axialzoo.spec.codec import from_dict, to_dict
from axialzoo.spec.cost import Cost, cost
from axialzoo.spec.kinds import KINDS, with_kind
from axialzoo.spec.model import Model, adapt, size_pair
from axialzoo.spec.parameters import ROLES, Parameter, count, parameters
from axialzoo.spec.preprocessing import Preprocessing
from axialzoo.spec.registry import Entry, aliases, entry, is_registered, list_models, register
from axialzoo.spec.stem import Stem, StemConv

from axialzoo.spec import zoo  # registers the named models  # isort: skip

__all__ = [
    "KINDS", "ROLES", "Attention", "Backbone", "Block", "Cost", "DecoderStage", "Entry", "Model", "Norm", "Parameter",
    "Preprocessing", "SpecError", "Stage", "Stem", "StemConv", "adapt", "aliases", "cost", "count", "did_you_mean",
    "entry", "from_dict", "is_registered", "list_models", "parameters", "register", "size_pair", "to_dict", "with_kind", "zoo",
]  # fmt: skip
