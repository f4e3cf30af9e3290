"""The layer of docs/explained.md computes what ours computes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from axialzoo.spec import Attention, Norm
from axialzoo.torch.attention import AxialAttention

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "explained.md"


def layers(source: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The layer that `source` defines and ours, in evaluation, with the same random weights and statistics."""
    namespace: dict = {}
    exec(source, namespace)
    torch.manual_seed(0)
    page = namespace["AxialAttentionAlongHeight"](channels=6, heads=2, key_depth=3, value_depth=4, max_length=9).double().eval()
    ours = AxialAttention(6, Attention(6, 8, heads=2, max_length=9), Norm(epsilon=1e-5), axis=0).double().eval()
    for tensor in ours.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.1)
    counters = {name: tensor for name, tensor in page.state_dict().items() if name.endswith("num_batches_tracked")}
    page.load_state_dict({**ours.state_dict(), **counters})  # all but the counters, which ours has none of
    return page, ours


(SOURCE,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "AxialAttentionAlongHeight" in block]


def difference(source: str) -> float:
    page, ours = layers(source)
    x = torch.randn(2, 6, 7, 5, dtype=torch.float64)
    with torch.no_grad():
        return (page(x) - ours(x)).abs().max().item()


def test_the_layer_of_the_page_computes_what_ours_computes():
    assert difference(SOURCE) < 1e-9


@pytest.mark.parametrize(
    "right, wrong",
    [
        ("torch.arange(h) - torch.arange(h)[:, None]", "torch.arange(h)[:, None] - torch.arange(h)"),
        ('"bgsd,psd->bgps", k', '"bgpd,psd->bgps", k'),
    ],
)
def test_a_layer_that_reads_its_tables_wrongly_is_caught(right, wrong):
    assert right in SOURCE and difference(SOURCE.replace(right, wrong)) > 1e-3


def test_the_layer_takes_about_thirty_lines():
    assert sum(bool(line.strip()) for line in SOURCE.splitlines()) <= 45
