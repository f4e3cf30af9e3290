"""Arguments and results of `attend` and `moments` in the layers have the shapes that `AttentionInputs` promises.

The annotations are checked when the functions run, letters included: one letter is one number within a call.
"""

# No `from __future__ import annotations`: jaxtyping reads the annotations themselves.
import pytest
import torch
from torch import Tensor

from axialzoo.torch import attention, attention2d
from axialzoo.torch.attention_inputs import AttentionInputs
from tests.attention.layers import image, make
from tests.attention.test_kinds import LAYERS, make2d

jaxtyping = pytest.importorskip("jaxtyping", reason="jaxtyping, of the extra 'dev', is not installed")
beartype = pytest.importorskip("beartype", reason="beartype, of the extra 'dev', is not installed").beartype
F, jaxtyped = jaxtyping.Float, jaxtyping.jaxtyped

Queries, Values = F[Tensor, "B G L Dk"], F[Tensor, "B G L Dv"]
Queries2D, Values2D = F[Tensor, "N G H W Dk"], F[Tensor, "N G H W Dv"]
Rows, ValueRows, OfEither = F[Tensor, "T S Dk"], F[Tensor, "T S Dv"], F[Tensor, "_ G ... Dk"]
Scale = F[Tensor, "terms G"]
Pair, ValuePair = (tuple[F[Tensor, f"Th Sh half_{d}"], F[Tensor, f"Tw Sw half_{d}"]] for d in ("k", "v"))


@jaxtyped(typechecker=beartype)
def along_one_axis(
    q: Queries, k: Queries, v: Values, rq: Rows | None, rk: Rows | None, rv: ValueRows | None, scale: Scale, out: list[Values]
) -> None:
    """Arguments and result of `attention.attend`."""


@jaxtyped(typechecker=beartype)
def over_both_axes(
    q: Queries2D, k: Queries2D, v: Values2D, rq: Pair | None, rk: Pair | None, rv: ValuePair | None, scale: Scale, out: list[Values2D]
) -> None:
    """Arguments and result of `attention2d.attend`."""


@jaxtyped(typechecker=beartype)
def of_moments(q: OfEither, mean: Scale, variance: Scale, n: int) -> None:
    """Results of `moments`, along one axis or over both."""


@pytest.fixture
def checked(monkeypatch) -> list[str]:
    """The names of the checks that were made; every call of either module's functions is."""
    built = []
    for module, check in ((attention, along_one_axis), (attention2d, over_both_axes)):
        monkeypatch.setattr(module, "attend", _attend(module.attend, check, built))
        monkeypatch.setattr(module, "moments", _moments(module.moments, built))
    return built


def _attend(honest, check, made: list[str]):
    def attend(inputs: AttentionInputs, scale: Tensor) -> list[Tensor]:
        out = honest(inputs, scale)
        check(inputs.q, inputs.k, inputs.v, inputs.rq, inputs.rk, inputs.rv, scale, out)
        assert len(out) == len(inputs.spec.value) and len(scale) == len(inputs.spec.similarity)
        made.append("attend")
        return out

    return attend


def _moments(honest, made: list[str]):
    def moments(inputs: AttentionInputs) -> tuple[Tensor, Tensor, int]:
        mean, variance, n = honest(inputs)
        of_moments(inputs.q, mean, variance, n)
        made.append("moments")
        return mean, variance, n

    return moments


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "fields", [{}, {"span": 3}, {"max_length": 3}, {"similarity": ("query",), "value": ("position",)}, {"gated": True}]
)
@pytest.mark.parametrize("axis", [0, 1])
def test_along_one_axis(checked, axis, fields, training):
    make(axis, training, **fields)(image(11, 9))
    assert checked == (["moments", "attend"] if training else ["attend"])


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_over_both_axes(checked, name, training):
    make2d(training, **LAYERS[name])(image(11, 9))
    assert checked == (["moments", "attend"] if training else ["attend"])


@pytest.mark.parametrize("part", ["q", "rq", "rv", "scale"])
def test_a_shape_that_is_not_promised_is_caught(part):
    inputs = make(key_channels=8).make_inputs(image(7, 5))
    provided = {name: getattr(inputs, name) for name in ("q", "k", "v", "rq", "rk", "rv")}
    provided |= {"scale": torch.ones(3, 2), "out": [inputs.v, inputs.v]}
    along_one_axis(**provided)
    with pytest.raises(jaxtyping.TypeCheckError):
        along_one_axis(**{**provided, part: provided[part][..., :-1]})
