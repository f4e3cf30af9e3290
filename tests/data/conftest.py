"""Small data sets in every format, and the ways to read them."""

import pytest

from tests.data.reading import opened, scored
from tests.train.conftest import image_folder, zips

__all__ = ["image_folder", "zips"]


@pytest.fixture(params=[opened, scored], ids=["training", "evaluation"])
def read(request):
    return request.param
