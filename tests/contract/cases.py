"""The models that the contract is checked on: a narrow one of each kind of head, whichever kinds are registered."""

from __future__ import annotations

from dataclasses import replace

from axialzoo.spec import Model, adapt, get_entry, list_models, num_parameters
from axialzoo.spec.heads import HEADS, MaskTransformer, Panoptic
from tests.contract.contract import Broken

SIDE = 64  # pixels at most: the contract is about kinds, not sizes


def cases() -> dict[str, Model]:
    """A model of each registered kind of head, the one with the fewest parameters; kinds with optional branches without them too."""
    actual: dict[str, Model] = {}
    for kind in HEADS:
        specs = [get_entry(name).spec for name in list_models() if get_entry(name).spec.head is not None]
        own = [spec for spec in specs if spec.head is not None and spec.head.kind == kind]
        if not own:
            raise Broken(f"head {kind!r}: part 'spec/zoo': no registered model has one; register a narrow one, for tests and first steps")
        spec = min(own, key=num_parameters)
        actual[kind] = adapt(spec, input_size=tuple(min(side, SIDE) for side in spec.input_size))
        if isinstance(spec.head, Panoptic):
            actual[f"{kind} without instances"] = replace(actual[kind], head=replace(spec.head, instances=None))
        if isinstance(spec.head, MaskTransformer):
            clustering = [item for item in own if isinstance(item.head, MaskTransformer) and item.head.kmeans is not None]
            actual[f"{kind} with k-means"] = adapt(min(clustering, key=num_parameters), input_size=(SIDE, SIDE))
    return actual
