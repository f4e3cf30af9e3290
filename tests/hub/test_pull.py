"""`axialzoo pull`: archives of the form that deeplab2 offers, from a server on this machine, resumed, imported, checked ever after."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from pathlib import Path

import pytest

from axialzoo.checkpoint import CheckpointError, load_checkpoint
from axialzoo.hub import catalogue, fetch_checkpoint, resume
from axialzoo.hub.catalogue import OFFICIAL, OfficialWeights, official
from axialzoo.hub.resume import fetch_file
from axialzoo.runtime import pulling
from axialzoo.runtime.pulling import pull
from axialzoo.spec import SpecError, get_entry, is_registered
from tests.conversion import small
from tests.golden.deeplab2 import TINY

NAME = "axial_deeplab_s.tiny"


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("AXIALZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(resume, "WAIT", 0.001)
    monkeypatch.setattr(resume, "MOST_WAIT", 0.01)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home"


@pytest.fixture
def offered(hub, monkeypatch):
    """Weights in the catalogue whose archive the server has."""
    item = OfficialWeights(NAME, "deeplab2", f"{hub.url}/archives/tiny.tar.gz", "test")
    monkeypatch.setitem(catalogue.OFFICIAL, NAME, item)
    return item


@pytest.fixture
def imports(monkeypatch):
    """An importer that takes any archive whose bytes are as they were sent, and says what it got."""
    seen = []

    def stand_in(zoo, file, out, model=None, **options):
        data = Path(file).read_bytes()
        seen.append(len(data))
        if b"damaged" in data[-16:]:
            raise CheckpointError(f"{file}: damaged")
        small.write_folder(Path(out), seed=data[0])
        return load_checkpoint(out).config, {}

    monkeypatch.setattr(pulling, "import_foreign", stand_in)
    monkeypatch.setattr(pulling, "NEEDS", {})
    return seen


def packed(folder: Path, name: str) -> bytes:
    """A folder as the tar.gz that deeplab2 offers."""
    built = io.BytesIO()
    with tarfile.open(fileobj=built, mode="w:gz") as archive:
        archive.add(folder, name)
    return built.getvalue()


# The file


@pytest.mark.parametrize("cuts", [0, 1, 5])
def test_a_download_that_is_cut_goes_on_and_asks_for_nothing_twice(hub, tmp_path, cuts):
    data = hub.archives["a.bin"] = os.urandom(1 << 20) * 8
    hub.faults.plan("cut_body", "GET /archives/", cuts) if cuts else None
    messages = []
    path = fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "a.bin", lambda done, total: messages.append((done, total)))
    assert path.read_bytes() == data and [item.name for item in tmp_path.glob("a.bin*")] == ["a.bin"]
    assert hub.sent["a.bin"] <= 1.05 * len(data) and len(hub.faults.log) == cuts
    assert messages[-1] == (len(data), len(data)) and messages == sorted(messages)


@pytest.mark.full
def test_500_megabytes_with_5_cuts(hub, offered, imports):
    data = hub.archives["tiny.tar.gz"] = os.urandom(1 << 20) * 500
    hub.faults.plan("cut_body", "GET /archives/", 5)
    started = time.perf_counter()
    pull(NAME)
    ratio = hub.sent["tiny.tar.gz"] / len(data)
    print(f"{len(data):,} bytes, {len(hub.faults.log)} cuts: {ratio:.5f} times the bytes, {time.perf_counter() - started:.1f} s")
    assert imports == [len(data)] and ratio <= 1.05 and len(hub.faults.log) == 5


@pytest.mark.parametrize("kind", ["cut", "429", "500", "slow", "long"])
def test_what_fails_a_few_times_is_tried_again(hub, tmp_path, kind):
    data = hub.archives["a.bin"] = os.urandom(300_000)
    hub.faults.plan(kind, "GET /archives/", 3)
    assert fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "a.bin").read_bytes() == data


def test_what_goes_on_failing_is_said_and_kept_for_the_next_time(hub, tmp_path):
    data = hub.archives["a.bin"] = os.urandom(300_000)
    hub.faults.plan("cut_body", "GET /archives/", 1)
    hub.faults.plan("cut", "GET /archives/", resume.ATTEMPTS)
    with pytest.raises(CheckpointError, match=r"bytes are kept .* run it again to go on from there"):
        fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists() and (tmp_path / "a.bin.part").exists()
    assert fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "a.bin").read_bytes() == data
    assert hub.sent["a.bin"] <= 1.05 * len(data)


def test_a_file_that_changed_meanwhile_is_fetched_anew(hub, tmp_path):
    hub.archives["a.bin"] = os.urandom(300_000)
    hub.faults.plan("cut_body", "GET /archives/", 1)
    hub.faults.plan("cut", "GET /archives/", resume.ATTEMPTS)
    with pytest.raises(CheckpointError):
        fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "a.bin")
    data = hub.archives["a.bin"] = os.urandom(300_000)
    assert fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "a.bin").read_bytes() == data


def test_a_part_that_is_whole_already_or_of_another_address_is_understood(hub, tmp_path):
    data = hub.archives["a.bin"] = os.urandom(1000)
    hub.archives["b.bin"] = os.urandom(2000)
    hub.faults.plan("cut_body", "GET /archives/", 1)
    hub.faults.plan("cut", "GET /archives/", resume.ATTEMPTS)
    with pytest.raises(CheckpointError):
        fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "x")
    (tmp_path / "x.part").write_bytes(data)
    before = hub.sent["a.bin"]
    assert fetch_file(f"{hub.url}/archives/a.bin", tmp_path / "x").read_bytes() == data and hub.sent["a.bin"] == before
    (tmp_path / "x.part").write_bytes(data)
    assert fetch_file(f"{hub.url}/archives/b.bin", tmp_path / "x").read_bytes() == hub.archives["b.bin"]


@pytest.mark.parametrize(("address", "message"), [("file:///etc/hostname", "begins with https"), ("ftp://x/y", "begins with https")])
def test_other_schemes_are_refused(tmp_path, address, message):
    with pytest.raises(CheckpointError, match=message):
        fetch_file(address, tmp_path / "x")


def test_an_address_that_has_it_no_longer_is_said(hub, tmp_path):
    with pytest.raises(CheckpointError, match="answered 404; the address may have changed"):
        fetch_file(f"{hub.url}/archives/gone.bin", tmp_path / "x")


# Pulling


def test_what_is_pulled_is_imported_once_recorded_and_loaded_by_name(hub, offered, imports, own_home):
    with pytest.raises(SpecError, match=f"`axialzoo pull {NAME}` fetches"):
        fetch_checkpoint(NAME)
    hub.archives["tiny.tar.gz"] = b"\x01 archive"
    first, again = pull(NAME), pull(NAME)
    assert first["fetched"] and not again["fetched"] and first["digest"] == again["digest"] and len(imports) == 1
    assert fetch_checkpoint(NAME).config.digest == first["digest"]
    assert json.loads((own_home / "pulled.json").read_text())[NAME] == {"digest": first["digest"], "address": offered.address}
    assert not list((own_home / "archives").iterdir()) and [path.name for path in (own_home / "pulled").iterdir()] == [NAME]


def test_other_weights_than_were_imported_first_are_refused(hub, offered, imports, own_home):
    hub.archives["tiny.tar.gz"] = b"\x01 archive"
    first = pull(NAME)
    hub.archives["tiny.tar.gz"] = b"\x02 archive"
    with pytest.raises(CheckpointError, match="other weights than were imported first") as caught:
        pull(NAME, force=True)
    assert first["digest"] in str(caught.value) and fetch_checkpoint(NAME).config.digest == first["digest"]  # what was there stays
    small.write_folder(own_home / "pulled" / NAME, seed=7)  # whole, and somebody else's
    with pytest.raises(CheckpointError, match="other weights than were imported first"):
        fetch_checkpoint(NAME)


def test_a_damaged_copy_is_fetched_again(hub, offered, imports, own_home):
    hub.archives["tiny.tar.gz"] = b"\x01 archive"
    first = pull(NAME)
    weights = own_home / "pulled" / NAME / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    assert pull(NAME)["fetched"] and fetch_checkpoint(NAME).config.digest == first["digest"]


def test_an_archive_that_is_damaged_twice_is_refused_and_not_kept(hub, offered, imports, own_home):
    hub.archives["tiny.tar.gz"] = b"\x01 damaged"
    with pytest.raises(CheckpointError, match="was fetched twice and refused twice"):
        pull(NAME)
    assert len(imports) == 2 and not list((own_home / "archives").iterdir()) and not (own_home / "pulled").exists()


def test_a_file_on_this_machine_can_be_named_and_stays(offered, imports, tmp_path):
    (tmp_path / "mine.tar.gz").write_bytes(b"\x03 archive")
    assert pull(NAME, address=str(tmp_path / "mine.tar.gz"))["fetched"] and (tmp_path / "mine.tar.gz").exists()


def test_the_command_pulls_and_lists(axialzoo, hub, offered, imports):
    hub.archives["tiny.tar.gz"] = b"\x01 archive"
    assert NAME in axialzoo("pull").out
    said = axialzoo("pull", NAME, "--json")
    assert said.code == 0 and said.json["fetched"] and said.json["licence"] == "test"
    (listed,) = [item for item in axialzoo("pull", "--json").json["weights"] if item["name"] == NAME]
    assert listed["pulled"] and 4 * 12_455_910 < listed["least_bytes"] < 4 * 12_600_000  # statistics are no parameters
    unknown = axialzoo("pull", "axial_swidernet_1_1_1.cityscape")
    assert unknown.code == 1 and "did you mean 'axial_swidernet_1_1_1.cityscapes'?" in unknown.err


def test_an_archive_of_deeplab2s_form_is_pulled_with_faults(hub, offered):
    pytest.importorskip("tensorflow")
    hub.archives["tiny.tar.gz"] = packed(TINY, "tiny")
    hub.faults.plan("cut_body", "GET /archives/", 2)
    hub.faults.plan("500", "GET /archives/", 1)
    done = pull(NAME)
    assert done["fetched"] and load_checkpoint(done["folder"]).config.provenance["source"] == "github.com/google-research/deeplab2"


def test_what_is_needed_to_read_an_archive_is_said_before_it_is_fetched(hub, offered, monkeypatch):
    monkeypatch.setattr(pulling, "installed", lambda package: False)
    with pytest.raises(ModuleNotFoundError, match="needs tensorflow"):
        pull(NAME)
    assert not hub.log


# The catalogue


def test_every_entry_names_a_model_an_address_a_licence_and_figures_that_the_registry_has():
    for name, item in OFFICIAL.items():
        model = name.partition(".")[0]
        assert name == item.name and is_registered(model) and item.model == model and item.licence
        assert item.address.startswith("http") and item.zoo in ("deeplab2", "axial-deeplab", "kmax-deeplab")
        for key, value in item.published.items():
            assert value <= get_entry(model).published.get(key, value), name  # shorter trainings and smaller pictures are offered too


def test_a_name_that_nobody_offers_is_refused():
    with pytest.raises(SpecError, match="no official weights"):
        official("axial_resnet50_s.imagenet1k")


def test_an_answer_from_another_place_is_not_appended(tmp_path, monkeypatch):
    class Answer(io.BytesIO):
        status, headers = 206, {"Content-Range": "bytes 5-9/10"}

    monkeypatch.setattr(resume.urllib.request, "urlopen", lambda request, timeout: Answer(b"56789"))
    part = tmp_path / "a.bin.part"
    part.write_bytes(b"012")
    part.with_name("a.bin.part.json").write_text(json.dumps({"address": "http://127.0.0.1/a.bin", "same": '"1"'}))
    with pytest.raises(CheckpointError, match="expected bytes from 3, found them from 5"):
        fetch_file("http://127.0.0.1/a.bin", tmp_path / "a.bin")
    assert part.read_bytes() == b"012"
