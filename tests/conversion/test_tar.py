"""Hostile and damaged tar archives are refused before anything is written."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from axialzoo.checkpoint import CheckpointError, tar, unpack_tar


def member(name: str, data: bytes = b"data", **fields) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode, format=tarfile.GNU_FORMAT) as file:  # type: ignore[call-overload]
        for info, data in members:
            file.addfile(info, io.BytesIO(data))
    return path


GOOD = member("run/ckpt-1.index")
HOSTILE = {
    "absolute": [GOOD, member("/tmp/axialzoo-evil")],
    "parent": [GOOD, member("run/../../evil")],
    "backslash": [GOOD, member("run\\..\\evil")],
    "drive": [GOOD, member("C:evil")],
    "no name": [GOOD, member("./")],
    "control": [GOOD, member("run/a\nb")],
    "long": [GOOD, member("run/" + "a" * 250)],
    "symbolic link": [member("run", b"", type=tarfile.SYMTYPE, linkname="/tmp"), member("run/evil")],
    "hard link": [GOOD, member("run/evil", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")],
    "device": [GOOD, member("run/evil", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "pipe": [GOOD, member("run/evil", b"", type=tarfile.FIFOTYPE)],
    "twice": [GOOD, GOOD],
    "twice but for case": [GOOD, member("RUN/CKPT-1.index")],
    "twice but for dots": [GOOD, member("./run//ckpt-1.index")],
    "file as folder": [member("run"), GOOD],
    "folder as file": [GOOD, member("run")],
    "many": [member(f"run/{index}") for index in range(tar.MAX_MEMBERS + 1)],
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_a_hostile_archive_is_refused_and_nothing_written(kind, mode, tmp_path):
    path = archive(tmp_path / "evil.tar", *HOSTILE[kind], mode=mode)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CheckpointError, match=r"nothing was written|not a tar archive"):
        unpack_tar(path, tmp_path / "folder")
    assert not list((tmp_path / "folder").iterdir()) and sorted(p.name for p in tmp_path.iterdir()) == ["evil.tar", "folder"]


def test_a_plain_archive_is_written_whole(tmp_path):
    path = archive(tmp_path / "good.tar.gz", member("./run/", b"", type=tarfile.DIRTYPE), GOOD, member("./run/ckpt-1.data", b"x" * 99999))
    files = unpack_tar(path, tmp_path / "folder")
    assert [file.relative_to(tmp_path / "folder").as_posix() for file in files] == ["run/ckpt-1.index", "run/ckpt-1.data"]
    assert [file.read_bytes() for file in files] == [b"data", b"x" * 99999]


def bomb(path: Path, size: int, header: bytes | None = None) -> Path:
    """An archive of zeros that claims `size` bytes, whose member is as long."""
    info = tarfile.TarInfo("run/bomb")
    info.size = size
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header or info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
        file.write(bytes(1024))
    return path


def test_a_bomb_is_refused(tmp_path):
    path = bomb(tmp_path / "bomb.tar.gz", 2 * tar.LEAST_BYTES)
    with pytest.raises(CheckpointError, match=r"member 'run/bomb'.*nothing was written"):
        unpack_tar(path, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_claims_to_be_huge_is_not_read(kind, tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, 32 << 20
    path = bomb(tmp_path / "bomb.tar.gz", 32 << 20, info.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(CheckpointError, match="unpacks to more than it can hold"):
        unpack_tar(path, tmp_path / "folder")


def test_more_after_the_end_of_the_archive_is_refused(tmp_path):
    path = tmp_path / "tail.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(GOOD[0].tobuf(tarfile.GNU_FORMAT) + b"data".ljust(512, b"\0") + bytes(1024))
        for _ in range((tar.LEAST_BYTES >> 20) + 2):
            file.write(bytes(1 << 20))
    with pytest.raises(CheckpointError, match="unpacks to more"):
        unpack_tar(path, tmp_path / "folder")


def test_a_sparse_member_is_refused(tmp_path):
    info, data = member("run/sparse", bytes(1024))
    info.type = tarfile.GNUTYPE_SPARSE
    with pytest.raises(CheckpointError, match=r"sparse|not a tar"):
        unpack_tar(archive(tmp_path / "s.tar", GOOD, (info, data)), tmp_path / "folder")


@pytest.mark.parametrize("how", ["cut", "flipped", "text"])
def test_a_damaged_archive_is_refused(how, tmp_path):
    path = archive(tmp_path / "good.tar.gz", GOOD, member("run/data", bytes(range(256)) * 100))
    data = bytearray(path.read_bytes())
    data[len(data) - 8] ^= 1  # of gzip's checksum
    path.write_bytes({"cut": path.read_bytes()[:-20], "flipped": data, "text": b"hello" * 300}[how])
    with pytest.raises(CheckpointError, match="damaged"):
        unpack_tar(path, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()
