"""Every shipped model, maps of every pixel and boxes among them, is written in every format and equals its original."""

from __future__ import annotations

import pytest

from axialzoo.exports import EXPORT_MATRIX
from axialzoo.spec import get_entry, list_models
from tests.exports.common import check_written

SHIPPED = [name for name in list_models() if any(where.startswith("package:") for where in get_entry(name).weights.values())]
WIDEST = {key: "fixed" if target.reason("any") else "any" for key, target in EXPORT_MATRIX.items() if not target.reason("fixed")}


def test_what_ships_has_heads_of_every_task():
    assert {"axial_resnet_cifar10", "axial_deeplab_nuclei", "axial_fcos_blood_cells"} <= set(SHIPPED)


@pytest.mark.full
@pytest.mark.parametrize(("place", "suffix"), WIDEST)
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_written_and_equal(name, place, suffix, tmp_path):
    check_written(name, tmp_path, place, suffix, WIDEST[place, suffix])
