"""Small data sets in every format."""

from tests.train.conftest import image_folder, zips

__all__ = ["image_folder", "zips"]
