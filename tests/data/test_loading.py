import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sparring.data import EMBEDDED, cache, load, loading
from sparring.data.decode import Form, pixels
from sparring.errors import DataError, SettingError

Noise = Callable[..., Image.Image]


@pytest.fixture
def decoding(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each picture that is decoded."""
    decoded: list[int] = []

    def counted(picture: Image.Image, form: Form) -> NDArray[np.uint8]:
        decoded.append(1)
        return pixels(picture, form)

    monkeypatch.setattr(loading, "pixels", counted)
    return decoded


def little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.memory.available", lambda: 4000)


def test_the_second_start_decodes_nothing(pictures: Path, decoding: list[int]) -> None:
    (pictures / "broken.png").write_bytes(b"")
    first = load(pictures, resolution=(8, 8))
    assert len(decoding) == 10
    second = load(pictures, resolution=(8, 8))
    assert len(decoding) == 10
    assert torch.equal(first.images, second.images)
    assert (first.skipped, first.names, first.fingerprint) == (second.skipped, second.names, second.fingerprint)
    assert first.skipped[0].path == "broken.png"


def test_labels_come_and_go_without_decoding(pictures: Path, decoding: list[int]) -> None:
    assert load(pictures, resolution=(8, 8)).labels is None
    labelled = load(pictures, resolution=(8, 8), labels=True)
    assert len(decoding) == 10
    assert labelled.labels is not None
    assert labelled.labels.dtype == torch.int64
    assert labelled.classes == ("cat", "dog")


def test_the_fingerprint_is_of_the_content_not_the_path(pictures: Path, tmp_path: Path, decoding: list[int]) -> None:
    first = load(pictures, resolution=(8, 8))
    shutil.copytree(pictures, tmp_path / "elsewhere")
    assert load(tmp_path / "elsewhere", resolution=(8, 8)).fingerprint == first.fingerprint
    assert len(decoding) == 10


def test_a_changed_pixel_changes_fingerprint_and_pictures(pictures: Path) -> None:
    first = load(pictures, resolution=(12, 16))
    changed = np.array(Image.open(pictures / "cat/0.png"))
    changed[2, 3, 0] ^= 255
    Image.fromarray(changed).save(pictures / "cat/0.png")
    second = load(pictures, resolution=(12, 16))
    assert second.fingerprint != first.fingerprint
    assert (second.images != first.images).nonzero().tolist() == [[0, 0, 2, 3]]


def test_every_setting_of_decoding_changes_the_fingerprint(pictures: Path) -> None:
    settings = [
        {"resolution": (8, 8)},
        {"resolution": (8, 9)},
        {"resolution": (8, 8), "fit": "pad"},
        {"resolution": (8, 8), "fit": "stretch"},
        {"resolution": (8, 8), "channels": 1},
    ]
    assert len({load(pictures, **each).fingerprint for each in settings}) == 5  # type: ignore[arg-type]


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "no json", "bad json", "other json"])
def test_a_damaged_cache_is_made_again(pictures: Path, cache_folder: Path, decoding: list[int], damage: str) -> None:
    first = load(pictures, resolution=(8, 8))
    npy, about = cache_folder / f"{first.fingerprint}.npy", cache_folder / f"{first.fingerprint}.json"
    content = npy.read_bytes()
    if damage == "no json":
        about.unlink()
    elif damage.endswith("json"):
        about.write_text("{" if damage == "bad json" else "[]")
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        npy.write_bytes({"cut": content[:-9], "flip": flipped, "empty": b""}[damage])
    again = load(pictures, resolution=(8, 8))
    assert len(decoding) == 20
    assert torch.equal(again.images, first.images)
    assert npy.read_bytes() == content


def test_what_is_kept_is_a_plain_npy_file(pictures: Path, cache_folder: Path) -> None:
    found = load(pictures, resolution=(8, 8))
    assert sorted(path.name for path in cache_folder.iterdir()) == [
        f"{found.fingerprint}.json",
        f"{found.fingerprint}.npy",
    ]
    kept = np.load(cache_folder / f"{found.fingerprint}.npy")
    assert np.array_equal(kept, found.images)
    assert json.loads((cache_folder / f"{found.fingerprint}.json").read_text())["skipped"] == {}


def test_what_does_not_fit_into_memory_is_mapped(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, decoding: list[int]
) -> None:
    (pictures / "broken.png").write_bytes(b"")
    plain = load(pictures, resolution=(12, 16), labels=True)
    shutil.rmtree(pictures / "cat")
    little_memory(monkeypatch)
    mapped = load(pictures, resolution=(12, 16))
    assert len(decoding) == 16
    assert torch.equal(mapped.images, plain.images[4:])
    kept = cache.find(mapped.fingerprint)
    assert kept is not None
    assert isinstance(kept.images, np.memmap)
    assert torch.equal(mapped.batch(torch.tensor([5, 0])).images, plain.images[[9, 4]])
    assert [each.path for each in mapped.skipped] == ["broken.png"]
    load(pictures, resolution=(12, 16))
    assert len(decoding) == 16


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("SPARRING_CACHE", str(tmp_path / "file/cache"))
    found = load(pictures, resolution=(12, 16))
    assert len(found) == 10
    assert "cannot be kept in" in found.notices[0]
    little_memory(monkeypatch)
    with pytest.raises(DataError, match=r"do not fit into memory, and cannot be kept in .*SPARRING_CACHE"):
        load(pictures, resolution=(12, 16))


def test_a_full_disk_leaves_nothing_behind(pictures: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # the nearest thing to a full disk
    try:
        assert "File too large" in load(pictures, resolution=(12, 16)).notices[0]
        little_memory(monkeypatch)
        with pytest.raises(DataError, match=r"do not fit into memory.*File too large"):
            load(pictures, resolution=(12, 16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(cache_folder.iterdir())


def test_labels_without_folders_are_refused(pictures: Path) -> None:
    with pytest.raises(DataError, match="not sorted into folders; make one folder for each class"):
        load(pictures / "cat", resolution=(8, 8), labels=True)
    (pictures / "cat/0.png").rename(pictures / "stray.png")
    with pytest.raises(DataError, match=r"1 of 10 pictures are in no class folder, for instance stray\.png"):
        load(pictures, resolution=(8, 8), labels=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"resolution": (0, 8)}, "resolution 0x8"),
        ({"resolution": (8, 8), "fit": "squeeze"}, "crop, pad or stretch"),
        ({"resolution": (8, 8), "channels": 2}, "channels 2"),
    ],
)
def test_bad_settings_are_refused(pictures: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        load(pictures, **settings)  # type: ignore[arg-type]


def test_progress_is_told_of_every_picture(pictures: Path) -> None:
    told: list[tuple[str, int, int]] = []
    load(pictures, resolution=(8, 8), channels=3, progress=lambda *each: told.append(each))
    assert told == [(stage, done, 10) for stage in ("reading", "decoding") for done in range(1, 11)]


def test_the_embedded_digits(cache_folder: Path) -> None:
    from sklearn.datasets import load_digits

    found = load("digits", resolution=(8, 8), labels=True)
    assert found.images.shape == (1797, 1, 8, 8)
    truth = load_digits()
    assert np.array_equal(found.images[:, 0], np.round(truth.images * 255 / 16))
    assert found.labels is not None
    assert np.array_equal(found.labels, truth.target)
    assert found.classes == tuple("0123456789")
    assert found.name == "digits"
    assert not list(cache_folder.iterdir())
    assert "1,797" in EMBEDDED["digits"].about
    assert load("digits", resolution=(16, 12)).shape == (1, 16, 12)


def test_a_folder_named_like_an_embedded_set(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures)
    (pictures / "cat").rename("digits")
    assert len(load("./digits", resolution=(8, 8))) == 4
    assert len(load(Path("digits"), resolution=(8, 8))) == 4
    assert len(load("digits", resolution=(8, 8))) == 1797


LANDSCAPES = Path(__file__).parents[3] / "shared/data/landscapes.zip"


@pytest.mark.skipif(not LANDSCAPES.exists(), reason="needs the landscapes")
def test_real_photographs() -> None:
    from sparring.data import survey

    found = survey(LANDSCAPES)
    assert (found.pictures, found.common_size(), found.channels()) == (5737, (100, 100), 3)
    assert found.classes == ("forest", "glacier", "mountain", "sea")
