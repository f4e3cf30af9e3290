"""The checkpoint format as its page says it: the reader on the page, written from the page alone, reads what ships."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axialzoo.checkpoint import digest, load_checkpoint, write_safetensors
from axialzoo.spec import KINDS, Attention, Block, Stage, adapt, get_entry, list_models, parameters
from axialzoo.spec.heads.panoptic import Decoder, Panoptic
from tests.docs.plain import Plain

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = (ROOT / "docs" / "format.md").read_text()
SHIPPED = sorted(folder for folder in (ROOT / "axialzoo" / "weights").iterdir() if folder.is_dir())
EXAMPLE = {"a": np.array([1, -2], np.float32), "b.c": np.array([[0.5]], np.float32)}


@pytest.fixture(scope="module")
def read():
    (text,) = re.findall(r'```python title="reader.py"\n(.*?)```', PAGE, re.DOTALL)
    assert "axialzoo" not in "".join(re.findall(r"^(?:import|from) .*$", text, re.MULTILINE))
    names = {}
    exec(compile(text, "reader.py", "exec"), names)
    return names["read"]


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_reader_of_the_page_reads_what_ships(read, folder):
    config, tensors = read(folder)
    ours = load_checkpoint(folder)
    assert config["digest"] == ours.config.digest == digest(tensors)
    assert tensors.keys() == ours.tensors.keys()
    assert all(tensors[name].dtype == array.dtype and np.array_equal(tensors[name], array) for name, array in ours.tensors.items())


@pytest.mark.parametrize("folder", [item for item in SHIPPED if "_xs_" not in item.name], ids=lambda folder: folder.name)  # axial attention
def test_what_the_page_says_of_layers_computes_what_ships(read, folder):
    torch = pytest.importorskip("torch")
    from axialzoo.torch import load_model

    config, tensors = read(folder)
    x = np.random.default_rng(0).normal(size=(3, 39, 52))
    model = load_model(folder).double().eval()
    with torch.no_grad():
        ours = model(torch.tensor(x)[None])
    actual = Plain(config, tensors)(x)
    assert flat(actual).keys() == flat(ours).keys()
    for name, array in flat(ours).items():
        np.testing.assert_allclose(flat(actual)[name], array[0].numpy(), rtol=1e-9, atol=1e-9 * float(array.abs().max()), err_msg=name)
    wrong = Plain(config, {**tensors, "stem.0.norm.bias": tensors["stem.0.norm.bias"] + 0.01})(x)
    assert not any(np.allclose(flat(wrong)[name], array, rtol=1e-9) for name, array in flat(actual).items())


def flat(outputs) -> dict:
    """Outputs by name."""
    if not isinstance(outputs, dict):
        return {"logits": outputs}
    parts = {name: item if isinstance(item, list) else [item] for name, item in outputs.items()}
    return {f"{name}.{level}": item for name, ones in parts.items() for level, item in enumerate(ones)}


NAMES = PAGE.partition("### Names of tensors")[2].partition("#### Blocks, neck, heads")[0]
ROW = re.compile(r"^\| ((?:`[^`|]+`(?:, )?)+) \|(.*)\|$", re.MULTILINE)
KINDS_OF_TENSORS = {
    "tensor": ("",),
    "norm": (".weight", ".bias", ".running_mean", ".running_var"),
    "biased": (".weight", ".bias"),
}
KINDS_OF_TENSORS["conv"] = (".conv.weight", *(f".norm{end}" for end in KINDS_OF_TENSORS["norm"]))
KINDS_OF_TENSORS["projection"] = (".linear.weight", *(f".norm{end}" for end in KINDS_OF_TENSORS["norm"]))
KINDS_OF_TENSORS["separable"] = tuple(part + end for part in (".depthwise", ".pointwise") for end in KINDS_OF_TENSORS["conv"])
STARTS = {
    "STEM": r"(?:head\.local\.)?stem",
    "BLOCK": r"(?:(?:head\.local\.|head\.pixel_decoder\.)?stages|neck)\.S\.blocks\.B",
    "LAYER": r"(?:(?:stages|neck)\.S\.transformers\.B|head\.kmeans\.I)",
    "PREDICTOR": r"head\.(?:kmeans\.I\.)?predictor",
    "UNET": r"head(?:\.local)?",
    "DECODER": r"head\.(?:semantic|instance)",
    "TOWER": r"head\.levels\.(?:class|box)_tower",
}
NORMS = ("norm_qkv", "norm_similarity", "norm_output")


def patterns(text: str) -> dict[str, re.Pattern]:
    """Cells of the tables -> the names of tensors that they mean."""
    rows = [(re.findall(r"`([^`]+)`", cell), rest.partition("|")[0].strip()) for cell, rest in ROW.findall(text)]
    tables = [name.removeprefix("NAME") for names, _ in rows for name in names if name.startswith("NAME")]
    norms = [f".{norm}{end}" for norm in NORMS for end in KINDS_OF_TENSORS["norm"]]
    kinds = {**KINDS_OF_TENSORS, "attention": (".qkv.weight", *tables, *norms)}
    actual = {}
    for names, kind in rows:
        for name in names if kind in kinds else ():
            word, dot, rest = name.replace(".", r"\.").partition("\\")
            start = re.sub(r"\b[SBIL]\b", r"\\d+", STARTS.get(word, word) + dot + rest)
            actual[name] = re.compile(f"{start}(?:{'|'.join(map(re.escape, kinds[kind]))})")
    return actual


@pytest.fixture(scope="module")
def named():
    """Names of the tensors of every registered model, of each kind of attention, and of what no registered model has."""
    every = [get_entry(name).spec for name in list_models()]
    every += [adapt(get_entry("axial_resnet_cifar10").spec, attention=kind) for kind in KINDS]
    every.append(replace(get_entry("resnet50").spec, head=Panoptic(semantic=Decoder(rates=(6, 12)))))
    absolute = Attention(8, 8, 2, 4, "global", similarity=("content",), value=("content",), encoding="absolute")
    rare = Stage((Block("basic", (8, 8), squeeze_excite=True), Block("attention", (8, 8), attention=absolute)))
    every.append(replace(every[-1], backbone=replace(every[-1].backbone, stages=(rare,)), head=None))
    return {parameter.name for spec in every for parameter in parameters(spec)}


def test_every_tensor_is_in_one_row_of_the_page_and_every_row_has_one(named):
    known = patterns(NAMES)
    assert len(known) > 30
    for name in named:
        assert len([row for row, pattern in known.items() if pattern.fullmatch(name)]) == 1, name
    assert [row for row, pattern in known.items() if not any(map(pattern.fullmatch, named))] == []
    tables = {name.rpartition(".")[2] for name in named if name.endswith(("position", "_height", "_width", "gates"))}
    assert tables == set(re.findall(r"`NAME\.(\w+)`", NAMES.partition("#### Attention")[2]))


def test_a_row_that_is_missing_is_caught(named):
    lines = [line for line in NAMES.splitlines() if "`head.pyramid.lateral.I`" not in line]
    assert not any(pattern.fullmatch("head.pyramid.lateral.0.conv.weight") for pattern in patterns("\n".join(lines)).values())
    assert "head.pyramid.lateral.0.conv.weight" in named


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(4))


def change(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"airplane"', '"aeroplane"'))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip(folder / "model.safetensors", -7),
        lambda folder: lengthen(folder / "model.safetensors"),
        change,
    ],
    ids=["a bit of a tensor", "bytes at the end", "a label"],
)
def test_the_reader_of_the_page_refuses_what_is_damaged(read, damage, tmp_path):
    folder = Path(shutil.copytree(ROOT / "axialzoo" / "weights" / "axial_resnet_cifar10", tmp_path / "damaged"))
    damage(folder)
    with pytest.raises(AssertionError):
        read(folder)


def test_the_worked_example_is_right(tmp_path):
    assert f"\n    {digest(EXAMPLE)}\n" in PAGE
    path = tmp_path / "model.safetensors"
    write_safetensors(path, EXAMPLE, {"format": "pt"})
    content = path.read_bytes()
    assert f"are {len(content)} bytes: `{content[:8].hex(' ')}`" in PAGE
    assert f"\n    {content[8:-12].decode()}\n" in PAGE
    for array in EXAMPLE.values():
        assert f"`{array.tobytes().hex(' ')}`" in PAGE


def test_what_the_page_says_of_fields_is_what_is_written():
    config = json.loads((SHIPPED[0] / "config.json").read_text())
    table = PAGE.partition("## `config.json`")[2].partition("### The spec")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(config)
