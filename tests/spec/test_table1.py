"""Axial-DeepLab, Table 1 (arXiv:2003.07853): parameters and multiply-adds at 224 x 224, within 2 % of what is printed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from axialzoo.spec import Model, cost, get_entry


def tables_of_509_rows(spec: Model) -> Model:
    """Tables of 509 rows, as the paper's number of parameters shows; the authors' PyTorch code has tables of the axes' lengths."""
    change = lambda block: replace(block, attention=replace(block.attention, max_length=255))  # noqa: E731
    return replace(spec, backbone=spec.backbone.map_blocks(change))


TABLE = {  # row -> (ours, parameters, multiply-adds)
    "Conv-Stem + Attention": (get_entry("stand_alone_resnet50").spec, 18.0e6, 3.5e9),
    "Conv-Stem + PS-Attention": (get_entry("stand_alone_resnet50_ps").spec, 18.0e6, 3.7e9),
    "Conv-Stem + Axial-Attention": (tables_of_509_rows(get_entry("axial_resnet50_s").spec), 12.4e6, 2.8e9),
    "Full Axial-Attention": (get_entry("axial_resnet50_full_s").spec, 12.5e6, 3.3e9),
}


@pytest.mark.parametrize("row", TABLE)
def test_ours_beside_the_papers(row):
    spec, parameters, multiply_adds = TABLE[row]
    actual = cost(spec, 224)
    print(f"{row}: {actual.parameters:,} ({parameters:,.0f}), {actual.multiply_adds / 1e9:.3f} B ({multiply_adds / 1e9:.1f} B)")
    assert abs(actual.parameters / parameters - 1) <= 0.02
    assert abs(actual.multiply_adds / multiply_adds - 1) <= 0.02
