"""Files that try what files have tried elsewhere: entities, tags that name code, bombs, names that lead out of the folder."""

from __future__ import annotations

import io
import tarfile
import zipfile

import pytest

from axialzoo.checkpoint import CheckpointError, unpack_tar
from axialzoo.data import DataError, open_data
from axialzoo.data.file_tree import Zips
from axialzoo.data.readers.xml_tree import parse_xml
from tests.data import user_formats

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation>&l9;</annotation>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        '<!DOCTYPE a SYSTEM "https://example.org/a.dtd"><annotation/>',
        '<!DOCTYPE a [<!ENTITY % p SYSTEM "https://example.org/a.dtd"> %p;]><annotation/>',
        "<annotation>&undeclared;</annotation>",
    ],
)
def test_xml_with_entities_is_refused(text):
    with pytest.raises(DataError, match=r"1\.xml"):
        parse_xml(text.encode(), "1.xml")


@pytest.mark.parametrize(
    "text",
    [
        "names: !!python/object/apply:os.system ['touch made']",
        "names: !!python/name:os.system",
        "names: !!python/object/new:os.system ['touch made']",
        "!include other.yaml",
    ],
)
def test_yaml_tags_run_nothing(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    item = next(item for item in user_formats.FORMATS if item.title == "YOLO (Ultralytics)")
    user_formats.write({**item.files, "data.yaml": f"path: .\ntrain: images/train\n{text}\n"}, tmp_path / "data")
    with pytest.raises(DataError):
        open_data(tmp_path / "data", "boxes")
    assert not (tmp_path / "made").exists()


def test_yaml_that_grows_is_refused(tmp_path):
    item = next(item for item in user_formats.FORMATS if item.title == "YOLO (Ultralytics)")
    lines = [
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)),
        "names: *a8",
    ]
    user_formats.write({**item.files, "data.yaml": "path: .\ntrain: images/train\n" + "\n".join(lines) + "\n"}, tmp_path)
    with pytest.raises(DataError):
        open_data(tmp_path, "boxes")


def packed(name: str, content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        file.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_unpacks_to_a_thousand_times_its_size_is_refused(tmp_path, method):
    (tmp_path / "a.zip").write_bytes(packed("a.json", bytes(17 << 20), method))
    tree = Zips([("", tmp_path / "a.zip")])
    with pytest.raises(DataError, match="no larger than its zip allows"):
        tree.read("a.json")


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "..\\a", "C:/a"])
def test_names_in_archives_stay_inside(tmp_path, name):
    (tmp_path / "a.zip").write_bytes(packed(name, b"1"))
    with pytest.raises(DataError, match="inside the data's folder"):
        Zips([("", tmp_path / "a.zip")])
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    (tmp_path / "out").mkdir()
    with pytest.raises(CheckpointError, match="inside the archive's own folder"):
        unpack_tar(tmp_path / "a.tar", tmp_path / "out")
