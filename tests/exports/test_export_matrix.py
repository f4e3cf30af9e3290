"""The table of routes: complete, as the documentation prints it, and what it refuses is refused with its reason."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import pytest

from axialzoo.exports import EXPORT_MATRIX, FORMATS, ExportError, export_model
from axialzoo.exports.export_matrix import SIZES, as_markdown, format_of
from axialzoo.runtime.frameworks import BACKENDS
from axialzoo.spec import SpecError
from tests.conversion import small
from tests.exports.common import NEEDS, ROOT, TARGETS, check_written, exported

DOCS = (ROOT / "docs" / "exports.md").read_text()
PLACES = ("torch", *(f"keras-{backend}" for backend in BACKENDS))
LONG = (("keras-tensorflow", ".tflite"), ("keras-jax", ""))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("exports") / "folder"
    small.write_folder(path)
    return path


def test_the_table_says_something_of_every_framework_and_format():
    assert set(EXPORT_MATRIX) == set(itertools.product(PLACES, FORMATS))


def test_the_documentation_prints_the_table():
    assert as_markdown() in DOCS


CASES = [(*key, sizes) for key, target in EXPORT_MATRIX.items() for sizes in SIZES if not target.reason(sizes)]


def is_long(place: str, suffix: str, sizes: str) -> bool:
    """Return whether `make test-full` alone writes it."""
    return (place, suffix) in LONG or place == "keras-torch" or sizes != "any"


@pytest.mark.parametrize(
    ("place", "suffix", "sizes"),
    [pytest.param(*case, marks=[pytest.mark.full] if is_long(*case) else []) for case in CASES],
)
def test_what_the_table_has_is_written_and_equal(place, suffix, sizes, folder, tmp_path):
    check_written(folder, tmp_path, place, suffix, sizes)


REFUSED = [(*key, sizes) for key, target in EXPORT_MATRIX.items() for sizes in SIZES if target.reason(sizes)]


@pytest.mark.parametrize(("place", "suffix", "sizes"), [case for case in REFUSED if case[0] == "torch"])
def test_what_pytorch_cannot_write_is_refused_with_the_reason(place, suffix, sizes, folder, tmp_path):
    with pytest.raises(ExportError, match=re.escape(EXPORT_MATRIX[place, suffix].reason(sizes))):
        export_model(folder, tmp_path / TARGETS[suffix], framework=place, dynamic_shapes=sizes == "any")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
@pytest.mark.parametrize(("place", "suffix", "sizes"), [case for case in REFUSED if case[0] != "torch"])
def test_what_keras_cannot_write_is_refused_with_the_reason(place, suffix, sizes, folder, tmp_path):
    done = exported(folder, tmp_path / TARGETS[suffix], place, sizes)
    assert done.returncode == 1 and EXPORT_MATRIX[place, suffix].reason(sizes) in done.stderr and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.onx", "model.pb", "model.tflit"])
def test_another_suffix_is_refused_by_name(name):
    with pytest.raises(SpecError, match=re.escape(name)):
        format_of(name)


def test_a_size_and_dynamic_shapes_together_are_refused(folder, tmp_path):
    with pytest.raises(ExportError, match="leave one out"):
        export_model(folder, tmp_path / "model.pt2", size=32, dynamic_shapes=True)


def test_what_is_there_is_not_replaced(folder, tmp_path):
    (tmp_path / "model.pt2").write_text("mine")
    with pytest.raises(FileExistsError, match=r"model\.pt2"):
        export_model(folder, tmp_path / "model.pt2", framework="torch")
    assert (tmp_path / "model.pt2").read_text() == "mine"


EXAMPLES = re.findall(r"`axialzoo export (\S+) (\S+)`.*?```python\n(.*?)```", DOCS, re.DOTALL)  # model, file, code


def test_the_documentation_has_an_example_of_boxes_and_one_of_objects():
    assert [name for name, *_ in EXAMPLES] == ["axial_fcos_blood_cells", "axial_deeplab_nuclei"]


@pytest.mark.parametrize(("name", "file", "example", "counts"), [(*item, counts) for item, counts in zip(EXAMPLES, ((15, 30), (50, 70)))])
def test_the_examples_of_the_documentation_run_on_onnx_runtime_alone(name, file, example, counts, tmp_path):
    for package in NEEDS[".onnx"]:
        pytest.importorskip(package)
    export_model(name, tmp_path / file)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not re.search(r"^(import|from) (torch|axialzoo|keras)", example, re.MULTILINE)
    assert counts[0] <= int(done.stdout.split()[0]) <= counts[1]
