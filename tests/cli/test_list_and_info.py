"""`axialzoo list` and `axialzoo info`: all that is known of a model, without a framework."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import axialzoo as package
from axialzoo.cli.app import app
from axialzoo.spec import cost, get_entry, list_models
from axialzoo.spec.registry import ModelEntry, _entries

FRAMEWORKS = ("torch", "keras", "tensorflow", "jax", "PIL", "huggingface_hub", "accelerate", "matplotlib")


@pytest.mark.parametrize(
    "words", [("list",), ("list", "--json"), ("info", "axial_resnet50_s", "--size", "320x480"), ("--help",), ("predict", "--help")]
)
def test_commands_that_need_no_framework_import_none(words):
    code = (
        f"import sys; sys.argv = ['axialzoo', *{list(words)!r}]\n"
        "from axialzoo.cli import main\n"
        "try: main()\n"
        f"finally: print([name for name in {FRAMEWORKS!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_import_axialzoo_imports_no_framework_and_no_numpy():
    code = f"import axialzoo, sys; print([name for name in {('numpy', *FRAMEWORKS)!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_list_shows_every_model(axialzoo):
    said = axialzoo("list")
    assert said.code == 0 and said.err == ""
    for name in list_models():
        assert name in said.out
    assert "5,944,936" in said.out and "1.812 G" in said.out and "= axial_resnet50)" in said.out


def test_list_takes_wildcards_and_aliases(axialzoo):
    names = [actual["name"] for actual in axialzoo("list", "axial_resnet50_?", "--json").json["models"]]
    assert names == ["axial_resnet50_s", "axial_resnet50_m", "axial_resnet50_l"]
    assert [actual["name"] for actual in axialzoo("list", "axial_resnet50", "--json").json["models"]] == ["axial_resnet50_l"]


def test_list_json_has_plain_names_and_plain_numbers(axialzoo):
    said = axialzoo("list", "axial_resnet26_s", "--json")
    (actual,) = said.json["models"]
    assert actual["parameters"] == 5_944_936 and actual["input_size"] == [224, 224]
    assert actual["multiply_adds"] == pytest.approx(1.812e9, rel=1e-3)
    assert actual["weights"] == list(get_entry("axial_resnet26_s").weights)


def test_list_at_another_size(axialzoo):
    (actual,) = axialzoo("list", "axial_resnet26_s", "--size", "320x480", "--json").json["models"]
    assert actual["multiply_adds"] == cost(get_entry("axial_resnet26_s").spec, (320, 480)).multiply_adds
    assert actual["multiply_adds"] != cost(get_entry("axial_resnet26_s").spec).multiply_adds


def test_list_of_models_with_weights(axialzoo, monkeypatch):
    spec = get_entry("axial_resnet_cifar10_xs").spec
    monkeypatch.setitem(_entries, "planted", ModelEntry("planted", spec, "", "", weights={"first": "package:planted"}))
    actual = axialzoo("list", "--pretrained", "--json").json["models"]
    assert actual == [item for item in axialzoo("list", "--json").json["models"] if item["weights"]]
    assert {"planted"} <= {item["name"] for item in actual} < set(list_models())


def test_a_pattern_that_matches_nothing_is_an_error_naming_the_nearest(axialzoo):
    said = axialzoo("list", "axial_resnet_50_s")
    assert said.code == 1 and said.out == ""
    assert "did you mean 'axial_resnet50_s'?" in said.err


def test_info_shows_published_numbers_beside_ours(axialzoo):
    said = axialzoo("info", "axial_resnet26_s")
    rows = {line.split("  ")[0].strip(): line.split() for line in said.out.splitlines() if line}
    assert rows["parameters"][1:] == ["5,944,936", "5,944,936"]
    assert rows["multiply-adds"][1:] == ["1.812", "G", "1.812", "G"]
    assert rows["top1"][-2:] == ["75.80", "%"]


def test_info_at_another_size_does_not_show_numbers_published_for_224(axialzoo):
    said = axialzoo("info", "axial_resnet26_s", "--size", "320x480")
    (line,) = [line for line in said.out.splitlines() if line.startswith("multiply-adds")]
    assert line.split()[-1] == "-"


def test_info_json_says_everything(axialzoo):
    actual = axialzoo("info", "axial_resnet50", "--size", "320x480", "--json").json
    price = cost(get_entry("axial_resnet50").spec, (320, 480))
    assert actual["name"] == "axial_resnet50_l" and actual["aliases"] == ["axial_resnet50"]
    assert (actual["parameters"], actual["multiply_adds"]) == (price.parameters, price.multiply_adds)
    assert actual["activation_bytes"] == price.activation_bytes
    assert [stage["stride"] for stage in actual["stages"]] == [2, 4, 8, 16, 32]
    assert [stage["channels"] for stage in actual["stages"]] == [64, 256, 512, 1024, 2048]
    assert actual["stages"][-1]["size"] == [10, 15]
    assert actual["published"]["parameters"] == 43_973_480
    assert actual["spec"]["backbone"]["norm"] == {"epsilon": 1e-5, "momentum": 0.1}


def test_info_of_a_folder_says_what_the_checkpoint_says(axialzoo, folder):
    actual = axialzoo("info", folder, "--json").json
    assert actual["name"] == "axial_resnet_cifar10_xs"
    assert actual["checkpoint"]["labels"][3]["name"] == "cat"
    assert actual["checkpoint"]["digest"].startswith("sha256:")
    assert actual["checkpoint"]["preprocessing"]["size"] == [32, 32]
    text = axialzoo("info", folder).out
    assert "50.00 %" in text and "cat" in text and "CC0 [test]" in text  # brackets are text, not markup


def test_model_info_is_what_info_prints(axialzoo):
    info = package.model_info("axial_resnet26_s", "320x480")
    actual = axialzoo("info", "axial_resnet26_s", "--size", "320x480", "--json").json
    assert json.loads(json.dumps(info)) == {key: value for key, value in actual.items() if key != "checkpoint"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("info", "axial_resnet26"), "unknown model 'axial_resnet26'; did you mean 'axial_resnet26_s'?"),
        (("info", "axial_resnet26_s", "--size", "big"), "expected SIDE or HEIGHTxWIDTH such as 320x480, found 'big'"),
        (("info", "./nowhere"), "nowhere"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_an_error_is_one_message_on_stderr_and_exit_code_1(axialzoo, words, message, as_json):
    said = axialzoo(*words, *(["--json"] if as_json else []))
    assert said.code == 1 and said.out == ""
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and message in said.err


def test_usage_errors_have_exit_code_2(axialzoo):
    assert axialzoo("info").code == 2
    assert axialzoo("predict", "a.jpg").code == 2
    assert axialzoo("list", "--nonsense").code == 2
    assert axialzoo("nonsense").code == 2


@pytest.mark.parametrize("name", [command.name for command in app.registered_commands])
def test_every_command_has_help_with_examples_and_json(axialzoo, name):
    said = axialzoo(name, "--help")
    assert said.code == 0
    assert "Examples:" in said.out and f"axialzoo {name}" in said.out
    assert name == "app" or ("--json" in said.out and "-q" in said.out)  # which serves, and prints an address alone


def test_version(axialzoo):
    assert axialzoo("--version").out.strip() == f"axialzoo {package.__version__}"
