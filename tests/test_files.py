"""Files are written whole, what was there stays where the new one fails, and no message speaks of a temporary file."""

from __future__ import annotations

import errno
import os

import pytest

from axialzoo.files import atomic_write, atomic_write_folder, check_output, write_text


def test_a_file_is_written_with_the_folders_above_it(tmp_path):
    write_text(tmp_path / "new" / "folder" / "a.txt", "whole")
    assert (tmp_path / "new" / "folder" / "a.txt").read_text() == "whole"
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError("planted"), KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_was_there_stays_where_the_new_one_fails(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), atomic_write(path) as beside:
        beside.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_is_written_whole_or_not_at_all(tmp_path):
    for text in ("old", "new"):
        with atomic_write_folder(tmp_path / "a") as beside:
            beside.mkdir()
            (beside / text).write_text(text)
        assert [path.name for path in (tmp_path / "a").iterdir()] == [text]
    with pytest.raises(ValueError), atomic_write_folder(tmp_path / "a") as beside:
        beside.mkdir()
        raise ValueError("planted")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "new"]


def test_folders_made_for_a_file_that_failed_are_removed(tmp_path):
    with pytest.raises(ValueError), atomic_write(tmp_path / "new" / "folder" / "a.txt"):
        raise ValueError("planted")
    assert list(tmp_path.iterdir()) == []


def test_messages_name_the_file_and_never_the_temporary_one(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "a.txt", tmp_path / "folder"):
        with pytest.raises(OSError) as caught, atomic_write(path) as beside:
            beside.write_text("whole")
        assert str(path.parent if path.name == "a.txt" else path) in str(caught.value) and ".a.txt" not in str(caught.value)
    with pytest.raises(OSError, match=r"cannot be written.*a\.txt") as caught, atomic_write(tmp_path / "a.txt") as beside:
        os.link(tmp_path / "nowhere", beside)
    assert beside.name not in str(caught.value)


def test_a_full_disk_names_the_file_however_a_framework_tells_of_it(tmp_path):
    with pytest.raises(OSError, match=r"cannot be written.*a\.pth") as caught, atomic_write(tmp_path / "a.pth"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match=r"a\.pth: cannot be written whole"), atomic_write(tmp_path / "a.pth"):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")


def test_other_errors_pass_as_they_are(tmp_path):
    error = RuntimeError("planted")
    with pytest.raises(RuntimeError) as caught, atomic_write(tmp_path / "a.txt"):
        raise error
    assert caught.value is error


def test_nothing_is_replaced_that_was_not_to_be(tmp_path):
    path = tmp_path / "a.txt"
    assert check_output(path) == path
    path.write_text("old")
    with pytest.raises(FileExistsError, match=r"a\.txt: exists already"):
        check_output(path)
    assert check_output(path, overwrite=True) == path
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        check_output(tmp_path / "link")


def test_an_input_is_never_an_output(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    (tmp_path / "link").symlink_to(path)
    for output in (path, tmp_path / "link", tmp_path / "." / "a.txt"):
        with pytest.raises(ValueError, match="is read as input"):
            check_output(output, inputs=[path], overwrite=True)


def test_an_empty_path_is_refused():
    with pytest.raises(ValueError, match="found an empty one"):
        check_output("", overwrite=True)
    with pytest.raises(ValueError, match="expected the name of a file"), atomic_write(""):
        pass


def test_a_full_disk_in_a_framework_of_its_own_errors_is_said_in_ours(tmp_path):
    with (
        pytest.raises(OSError, match=r"cannot be written: No space left on device") as error,
        atomic_write_folder(tmp_path / "a") as temporary,
    ):
        temporary.mkdir()
        raise RuntimeError(f"{temporary}/variables: No space left on device; in a graph node")
    assert error.value.errno == errno.ENOSPC and error.value.filename == str(tmp_path / "a") and not list(tmp_path.iterdir())
