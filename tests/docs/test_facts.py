"""Numbers and orders that the pages state are those of the code and of the checkpoints that ship."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from axialzoo import list_models, model_info
from axialzoo.spec import KINDS, get_entry, parameters

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
METRICS = {  # page and start of its row -> weights, metrics in the order of the row, and their decimal places
    ("docs/tasks/classification.md", "`axial_resnet_cifar10`"): ("axial_resnet_cifar10", ("top1", "top5"), 2),
    ("docs/tasks/detection.md", "`axial_fcos_blood_cells`"): ("axial_fcos_blood_cells", ("box_ap", "box_ap50", "box_ap75"), 1),
    ("docs/tasks/segmentation.md", "`axial_deeplab_nuclei`,"): ("axial_deeplab_nuclei_stains", ("pq", "pq_things", "mask_ap50", "miou"), 1),
    ("docs/tasks/segmentation.md", "`axial_deeplab_nuclei.dsb2018`"): ("axial_deeplab_nuclei", ("pq", "pq_things", "mask_ap50", "miou"), 1),
    ("docs/models/small.md", "`axial_fcos_blood_cells`"): ("axial_fcos_blood_cells", ("box_ap", "box_ap50"), 1),
    ("docs/models/small.md", "`axial_resnet_cifar10`"): ("axial_resnet_cifar10", ("top1", "top5"), 2),
    ("README.md", "outline cell nuclei of every stain"): ("axial_deeplab_nuclei_stains", ("pq_things", "mask_ap50"), 1),
    ("README.md", "outline cell nuclei in fluorescence"): ("axial_deeplab_nuclei", ("pq_things", "mask_ap50"), 1),
    ("README.md", "find blood cells"): ("axial_fcos_blood_cells", ("box_ap", "box_ap50"), 1),
}


@pytest.mark.parametrize(("page", "start"), METRICS)
def test_a_row_has_the_metrics_of_the_weights(page, start):
    weights, names, places = METRICS[page, start]
    metrics = json.loads((ROOT / "axialzoo" / "weights" / weights / "config.json").read_text())["provenance"]["metrics"]
    (row,) = [line for line in (ROOT / page).read_text().splitlines() if line.startswith(f"| {start}")]
    assert re.findall(r"[\d.]+(?= %)", row) == [f"{100 * metrics[name]:.{places}f}" for name in names]


def wrong_counts(text: str) -> list[str]:
    """Return the models of which a text states another number of parameters than the spec has."""
    stated = re.findall(r"`([a-z0-9_]+)`, ([\d,]+) parameters", text)
    assert stated
    return [name for name, count in stated if model_info(name)["parameters"] != int(count.replace(",", ""))]


def test_numbers_of_parameters_are_those_of_the_specs():
    assert wrong_counts(TEXT) == []
    assert wrong_counts("`axial_resnet_cifar10`, 788,043 parameters") == ["axial_resnet_cifar10"]


def test_attention_goes_along_columns_first():
    layers = [
        name
        for name in (tensor.name for tensor in parameters(get_entry("axial_resnet26_s").spec))
        if ".height." in name or ".width." in name
    ]
    assert ".height." in layers[0] and KINDS["axial"][0].startswith("along columns, then rows")
    assert not re.search(r"along (the )?rows?, then (along )?(the )?columns?", TEXT)


def test_models_that_the_pages_name_exist():
    start = "axial_resnet|axial_deeplab|axial_swidernet|axial_fcos|fcos_axial|stand_alone|max_deeplab|kmax_deeplab|medical_transformer"
    known = {alias for name in list_models() for alias in (name, *model_info(name)["aliases"])}
    recipes = {path.stem for path in (ROOT / "axialzoo" / "train" / "recipes").glob("*.py")}
    named = set(re.findall(rf"`((?:{start})[a-z0-9_]*)[`.]", TEXT))
    assert len(named) > 20 and {name for name in named - known - recipes if not name.endswith("_")} == set()
