"""Batch prediction: folders, shards and tables in, one row a picture out, the same for any number of workers and either engine."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from axialzoo.data import DataError
from axialzoo.engine import predict_batch
from axialzoo.engine.inputs import chunks_of, pictures_of
from axialzoo.runtime import load_runner
from axialzoo.runtime.ipc import WorkerError
from axialzoo.spec import SpecError
from tests.engine.made import COUNT, contents, jpeg, names, once_each, rows, write_tar


@pytest.fixture(scope="module")
def one(folder, pictures, tmp_path_factory):
    """Results of one worker."""
    out = tmp_path_factory.mktemp("one") / "results.jsonl"
    assert predict_batch([pictures], folder, out, workers=1, chunk=8)["errors"] == 1
    return out


def test_rows_are_the_pictures_in_their_order_with_what_a_runner_says(one, folder, pictures):
    assert once_each(one, names(pictures)) and len(list(one.glob("part-*"))) == 8
    runner = load_runner(folder, "torch")
    for row in rows(one)[:3]:
        assert (row["width"], row["height"], row["error"]) == (24, 20, None)
        expected = runner.predict(row["picture"])
        assert row["result"]["label_id"] == expected.to_json()["label_id"] and row["labels"][0] == expected.label
        assert row["scores"] == [actual["probability"] for actual in row["result"]["top"]]
        assert row["scores"] == pytest.approx([actual["probability"] for actual in expected.to_json()["top"]], rel=1e-5)
    assert rows(one)[0]["scores"] != pytest.approx(rows(one)[1]["scores"], rel=1e-5)  # another picture's would be seen


def test_a_picture_that_cannot_be_read_is_a_row_with_an_error(one):
    (bad,) = [row for row in rows(one) if row["error"]]
    assert bad["picture"].endswith("017.jpg") and "not a picture that can be read" in bad["error"]
    assert bad["result"] is None and bad["scores"] is None


def test_two_workers_write_the_bytes_of_one(one, folder, pictures, tmp_path):
    said = []
    actual = predict_batch([pictures], folder, tmp_path / "two.jsonl", workers=2, chunk=8, progress=lambda *done: said.append(done))
    assert contents(tmp_path / "two.jsonl") == contents(one)
    assert actual["pictures"] == COUNT == actual["done"] and sorted(said) == said and said[-1] == (COUNT, COUNT)


def test_parquet_holds_what_json_lines_hold_and_reads_as_one_table(one, folder, pictures, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    predict_batch([pictures], folder, tmp_path / "two.parquet", workers=1, chunk=8)
    table = parquet.read_table(tmp_path / "two.parquet")
    assert table.num_rows == COUNT and table["picture"].to_pylist() == names(pictures)
    actual = [{**row, "result": row["result"] and json.loads(row["result"])} for row in table.to_pylist()]
    assert actual == rows(one)


@pytest.mark.full
def test_ray_writes_the_bytes_of_processes(one, axialzoo_process, folder, pictures, tmp_path):
    pytest.importorskip("ray")
    words = ("predict", pictures, "--model", folder, "--out", tmp_path / "ray.jsonl", "--workers", 1, "--chunk", 8, "--engine", "ray")
    said = axialzoo_process(*words, "--json")
    assert said.code == 0, said.err[-3000:]
    assert said.json["done"] == COUNT and contents(tmp_path / "ray.jsonl") == contents(one)


def test_shards_and_tables_hold_the_pictures_of_a_folder(pictures, tmp_path):
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    files = [(f"{index:03}.jpg", jpeg(index)) for index in range(10)]
    write_tar(tmp_path / "0.tar", [file for name, content in files[:6] for file in ((name, content), (name[:-3] + "cls", b"1"))])
    pixels = pyarrow.array([{"bytes": content, "path": name} for name, content in files[6:]])
    parquet.write_table(pyarrow.table({"label": [1] * 4, "image": pixels}), tmp_path / "1.parquet", row_group_size=3)
    (tmp_path / "2.jpg").write_bytes(jpeg(10))
    chunks = chunks_of([tmp_path], 4)
    assert [(chunk.number, len(chunk)) for chunk in chunks] == [(0, 4), (1, 2), (2, 4), (3, 1)]
    actual = [row for chunk in chunks for row in pictures_of(chunk)]
    expected = [row for chunk in chunks_of([pictures / "a"], 100) for row in pictures_of(chunk)][:11]
    assert [row.picture.tobytes() for row in actual] == [row.picture.tobytes() for row in expected]
    shard, table = tmp_path / "0.tar", tmp_path / "1.parquet"
    assert [str(row.path) for row in actual[5:8]] == [f"{shard}:005.jpg", f"{table}:0", f"{table}:1"]


def test_maps_of_segments_in_a_shard_are_no_pictures_to_predict(tmp_path):
    names = ("0.jpg", "0.json", "0.map.png", "world.map.png", "a.jpg", "a.jpg.txt")  # that of the world belongs to no other picture
    write_tar(tmp_path / "0.tar", [(name, jpeg(0)) for name in names])
    (chunk,) = chunks_of([tmp_path], 8)
    assert [row.path.name.partition(":")[2] for row in pictures_of(chunk)] == ["0.jpg", "world.map.png", "a.jpg"]


def test_damaged_shards_are_rows_with_an_error(tmp_path):
    pytest.importorskip("pyarrow")
    whole = write_tar(tmp_path / "0.tar", [(f"{index}.jpg", jpeg(index)) for index in range(5)]).read_bytes()
    (tmp_path / "0.tar").write_bytes(whole[: whole.index(b"3.jpg") + 700])
    (tmp_path / "1.tar").write_bytes(b"no tar" * 200)
    (tmp_path / "2.parquet").write_bytes(b"no table")
    (tmp_path / "3.jpg").write_bytes(jpeg(3))
    actual = [row for chunk in chunks_of([tmp_path], 3) for row in pictures_of(chunk)]
    assert [row.picture is None for row in actual] == [False] * 3 + [True] * 3 + [False]
    assert [row.error.partition(": ")[0] for row in actual[3:6]] == [str(tmp_path / name) for name in ("0.tar", "1.tar", "2.parquet")]


def test_what_does_not_go_together_is_refused_before_anything_is_written(folder, pictures, tmp_path):
    out = tmp_path / "out.jsonl"
    for words, error, message in (
        ({"engine": "rai"}, SpecError, "found 'rai'; did you mean 'ray'"),
        ({"address": "auto"}, SpecError, "expected engine 'ray'"),
        ({"workers": 0}, SpecError, "workers: expected at least 1"),
        ({"tile": "16x16"}, SpecError, "tile"),
        ({"framework": "torch,keras"}, SpecError, "framework: expected one"),
    ):
        with pytest.raises(error, match=message):
            predict_batch([pictures], folder, out, **words)
    with pytest.raises(ValueError, match=r"expected a name that ends in \.parquet or \.jsonl, found"):
        predict_batch([pictures], folder, tmp_path / "out.csv")
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        predict_batch([tmp_path / "nowhere"], folder, out)
    with pytest.raises(DataError, match=r"found none; looked for \.jpg"):
        predict_batch([tmp_path], folder, out)
    assert list(tmp_path.iterdir()) == []


def test_results_that_cannot_be_written_stop_the_run_and_say_why(folder, pictures, tmp_path, monkeypatch):
    from axialzoo.engine import plan

    begin = plan.open_run

    def spoilt(out, *words, **more):
        begin(out, *words, **more)
        plan.part_path(out, 1).mkdir()

    monkeypatch.setattr("axialzoo.engine.run.open_run", spoilt)
    with pytest.raises(WorkerError, match=r"part-000001\.jsonl: expected a file to write, found a folder"):
        predict_batch([pictures], folder, tmp_path / "out.jsonl", workers=1, chunk=30)


def test_the_command_says_how_it_went(axialzoo, folder, pictures, tmp_path):
    out = tmp_path / "out.jsonl"
    words = ("predict", pictures, "--model", folder, "--out", out, "--workers", 1, "--chunk", 30, "--top", 2)
    said = axialzoo(*words, "--json")
    assert said.code == 0 and said.json["pictures"] == COUNT and said.json["errors"] == 1 and len(rows(out)[0]["scores"]) == 2
    again = axialzoo(*words)
    assert again.code == 1 and "exists already and is not replaced" in again.err
    resumed = axialzoo(*words, "--resume")
    assert resumed.code == 0 and f"done: 0 of {COUNT} pictures; {out} is whole" in resumed.err
    other = axialzoo(*words[:-1], 3, "--resume")
    assert other.code == 1 and "holds another run (_plan.json): top was 2, is 3" in other.err


def test_options_of_batches_are_refused_without_a_batch(axialzoo, folder, pictures):
    said = axialzoo("predict", pictures, "--model", folder, "--workers", 2)
    assert said.code == 1 and "--workers: of predictions in batches; expected an --out that ends in .parquet or .jsonl" in said.err


def test_pages_and_channels_of_files_and_shards(tmp_path):
    pages = [Image.fromarray(np.full((6, 8), 60 * number, np.uint8)) for number in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    write_tar(tmp_path / "b.tar", [("a.tif", (tmp_path / "a.tif").read_bytes())])
    for chunk in chunks_of([tmp_path / "a.tif", tmp_path / "b.tar"], 4):
        (image,) = pictures_of(chunk, page=3)
        assert image.picture is not None and np.asarray(image.picture).max() == np.asarray(image.picture).min() == 120
        (image,) = pictures_of(chunk, page=4)
        assert "expected a page from 1 to 3" in image.error


def test_a_run_is_resumed_with_its_page_alone(folder, tmp_path):
    Image.new("RGB", (8, 6), (200, 10, 10)).save(tmp_path / "a.png")
    predict_batch([tmp_path / "a.png"], folder, tmp_path / "out.jsonl", workers=1, channel=1)
    with pytest.raises(FileExistsError, match="channel was 1, is 2"):
        predict_batch([tmp_path / "a.png"], folder, tmp_path / "out.jsonl", workers=1, channel=2, resume=True)
