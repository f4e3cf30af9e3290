"""Versions, the bill of materials and the check of a release: ``python tools/release.py version TAG | sbom [OUT] | check [--offline]``.

``version`` writes the version of a tag (``v1.2.3``) into the three files that hold it; with ``--check`` it compares alone. ``sbom`` writes
the packages that the tests run with as a bill of materials (CycloneDX 1.6). ``check`` builds the wheel from a clean checkout of HEAD,
installs it into an empty environment and predicts there.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PLACES = {  # file -> the line that holds the version
    "pyproject.toml": r'(?m)^version = "([^"]+)"$',
    "axialzoo/__init__.py": r'(?m)^__version__ = "([^"]+)"$',
    "CITATION.cff": r"(?m)^version: (\S+)$",
}
TAG = re.compile(r"v(\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?)")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
PHOTO, MODEL = "docs/photos/chelsea.jpg", "axial_resnet_cifar10"


def version_of(tag: str) -> str:
    """Return the version of a tag.

    Raises:
        ValueError: for a tag of another form.
    """
    match = TAG.fullmatch(tag)
    if match is None:
        raise ValueError(f"tag: expected vMAJOR.MINOR.PATCH, found {tag!r}")
    return match[1]


def versions(root: Path = ROOT) -> dict[str, str]:
    """Return file -> version of the files that hold it."""
    return {name: re.search(pattern, (root / name).read_text(encoding="utf-8"))[1] for name, pattern in PLACES.items()}


def write_version(version: str, root: Path = ROOT) -> None:
    """Write the version into every file that holds it."""
    for name, pattern in PLACES.items():
        text = (root / name).read_text(encoding="utf-8")
        start, end = re.search(pattern, text).span(1)
        (root / name).write_text(text[:start] + version + text[end:], encoding="utf-8")


def sbom(root: Path = ROOT) -> dict[str, Any]:
    """Return the bill of materials: axialzoo, what it needs, and every package at the version that the tests run with."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {_name(line) for line in project["dependencies"]}
    rows = []
    for name, version in PIN.findall((root / "constraints.txt").read_text(encoding="utf-8")):
        row = {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{_name(name)}@{version}"}
        row["scope"] = "required" if _name(name) in needed else "optional"
        if licence := _licence(name):
            row["licenses"] = [{"license": {"name": licence}}]
        rows.append(row)
    own = {"type": "library", "name": project["name"], "version": project["version"], "licenses": [{"license": {"id": project["license"]}}]}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": own}, "components": rows}


def check(offline: bool) -> dict[str, Any]:
    """Build, install and predict; return the steps with their seconds."""
    steps: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="axialzoo-release-") as place:
        folder, began = Path(place), time.monotonic()

        def step(name: str, *command: object, cwd: Path = folder) -> str:
            started = time.monotonic()
            ended = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
            steps[name] = round(time.monotonic() - started, 1)
            if ended.returncode:
                raise SystemExit(f"release-check: {name} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
            return ended.stdout

        step("checkout", "git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", folder / "clone")
        isolation = ["--no-build-isolation", "--no-index"] if offline else []
        step("wheel", sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "--wheel-dir", folder, folder / "clone")
        (wheel,) = folder.glob("*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        kernel = any(name.endswith("libaxial.so") for name in names)
        step("environment", sys.executable, "-m", "venv", *(["--without-pip"] if offline else []), folder / "empty")
        python = folder / "empty" / "bin" / "python"
        if offline:  # the packages of this environment serve; axialzoo itself is the wheel's
            (site,) = (folder / "empty" / "lib").glob("python*/site-packages")
            step("install", sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel)
            there = next(path for path in sys.path if path.endswith("site-packages"))
            (site / "packages.pth").write_text(f"{there}\n")
        else:
            limits = ROOT / "constraints.txt"
            step("install", python, "-m", "pip", "install", "--quiet", "--constraint", limits, f"{wheel}[torch]")
        where = step("import", python, "-c", "import axialzoo; print(axialzoo.__file__)").strip()
        if not Path(where).is_relative_to(folder / "empty"):
            raise SystemExit(f"release-check: expected the wheel's axialzoo, found {where}")
        photo = folder / "photo.jpg"
        photo.write_bytes((ROOT / PHOTO).read_bytes())
        said = json.loads(step("predict", python, "-m", "axialzoo", "predict", photo, "--model", MODEL, "--framework", "torch", "--json"))
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        return {
            "wheel": wheel.name, "bytes": wheel.stat().st_size, "sha256": digest, "kernel": kernel, "files": len(names),
            "seconds": steps, "total": round(time.monotonic() - began, 1), "predicted": str(said)[:200],
        }  # fmt: skip


def _name(line: str) -> str:
    return re.match(r"[A-Za-z0-9._-]+", line)[0].lower().replace("_", "-").replace(".", "-")


def _licence(name: str) -> str:
    try:
        about = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
    return (about.get("License-Expression") or about.get("License") or "").strip().partition("\n")[0][:80]


def main() -> None:
    """Run a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for_tag = commands.add_parser("version", help="write the version of a tag into the files that hold it")
    for_tag.add_argument("tag")
    for_tag.add_argument("--check", action="store_true", help="compare alone")
    commands.add_parser("sbom", help="the bill of materials").add_argument("out", nargs="?", type=Path)
    commands.add_parser("check", help="build, install and predict").add_argument("--offline", action="store_true")
    said = parser.parse_args()
    if said.command == "version":
        version = version_of(said.tag)
        if not said.check:
            write_version(version)
        wrong = {name: value for name, value in versions().items() if value != version}
        if wrong:
            raise SystemExit(f"version: expected {version} as the tag says, found {wrong}")
    elif said.command == "sbom":
        text = json.dumps(sbom(), indent=1) + "\n"
        said.out.write_text(text, encoding="utf-8") if said.out else print(text, end="")
    else:
        print(json.dumps(check(said.offline), indent=1))


if __name__ == "__main__":
    main()
