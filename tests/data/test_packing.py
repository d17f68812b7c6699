import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparring import data
from sparring.data import shards
from sparring.errors import DataError, SettingError

webdataset = pytest.importorskip("webdataset")


def members(folder: Path) -> dict[str, bytes]:
    """Everything in all shards, by name."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                assert stream is not None
                found[member.name] = stream.read()
    return found


def test_files_keep_their_bytes_and_classes_become_numbers(pictures: Path, tmp_path: Path) -> None:
    found = data.pack(pictures, tmp_path / "out", per_shard=4)
    inside = members(tmp_path / "out")
    originals = Counter((path.read_bytes(), path.parent.name) for path in pictures.rglob("*.png"))
    classes = {name.removesuffix(".cls"): ("cat", "dog")[int(it)] for name, it in inside.items() if ".cls" in name}
    packed = {name.removesuffix(".png"): content for name, content in inside.items() if name.endswith(".png")}
    assert Counter((content, classes[name]) for name, content in packed.items()) == originals
    assert (found["pictures"], found["shards"], found["classes"]) == (10, 3, {"cat": 4, "dog": 6})
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert [entry["pictures"] for entry in index["shards"]] == [4, 3, 3]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("00000.tar", "00001.tar", "00002.tar"),
        "index.json",
    }


def test_a_file_of_each_format_is_named_for_it(tmp_path: Path, noise: Callable[..., Image.Image]) -> None:
    (tmp_path / "in").mkdir()
    for ending in ("png", "jpg", "webp", "gif", "bmp", "tif"):
        noise().save(tmp_path / "in" / f"a.{ending}")
    Image.open(tmp_path / "in/a.png").save(tmp_path / "in/b.jpg", "PNG")  # a name that lies
    data.pack(tmp_path / "in", tmp_path / "out")
    endings = sorted(Path(name).suffix for name in members(tmp_path / "out"))
    assert endings == [".bmp", ".gif", ".jpg", ".png", ".png", ".tif", ".webp"]


def test_arrays_become_lossless_pictures_with_the_same_labels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (20, 6, 5, 3), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(20) % 3)
    data.pack(tmp_path / "a.npz", tmp_path / "out", per_shard=6)
    packed = data.load(tmp_path / "out", resolution=(6, 5), labels=True)
    there = data.load(tmp_path / "a.npz", resolution=(6, 5), labels=True)
    assert packed.labels is not None
    assert there.labels is not None

    def rows(pictures: data.Pictures) -> set[tuple[bytes, int]]:
        assert pictures.labels is not None
        return {(image.numpy().tobytes(), int(k)) for image, k in zip(pictures.images, pictures.labels, strict=True)}

    assert rows(packed) == rows(there)
    assert packed.classes == there.classes == ("0", "1", "2")


def test_the_same_pictures_give_the_same_bytes_in_another_order_than_they_had(tmp_path: Path) -> None:
    for name in ("a", "b"):
        data.pack("digits", tmp_path / name, per_shard=500)
    assert members(tmp_path / "a") == members(tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    numbers = [int(name[:-4]) for name in members(tmp_path / "a") if name.endswith("png")]
    first = torch.tensor(numbers[:500], dtype=torch.float64)
    assert abs(float(first.mean()) - 898) < 4 * 1797 / (12 * 500) ** 0.5  # uniform over the set
    assert abs(float(torch.corrcoef(torch.stack([first, torch.arange(500.0)]))[0, 1])) < 0.2  # mixed within


def test_shards_can_be_packed_anew(pictures: Path, tmp_path: Path) -> None:
    data.pack(pictures, tmp_path / "a", per_shard=3)
    again = data.pack(tmp_path / "a", tmp_path / "b", per_shard=5)
    assert again["classes"] == {"cat": 4, "dog": 6}
    assert set(members(tmp_path / "a").values()) == set(members(tmp_path / "b").values())


def test_webdataset_itself_reads_what_was_packed(pictures: Path, tmp_path: Path) -> None:
    data.pack(pictures, tmp_path / "out", per_shard=5)
    urls = str(tmp_path / "out/{00000..00001}.tar")
    found = list(webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8").to_tuple("png", "cls"))
    assert len(found) == 10
    assert {label for _, label in found} == {0, 1}
    assert found[0][0].shape == (12, 16, 3)


def test_broken_pictures_are_left_out_and_listed(pictures: Path, tmp_path: Path) -> None:
    whole = (pictures / "cat/0.png").read_bytes()
    (pictures / "cat/cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "cat/not.png").write_bytes(b"nothing of the kind")
    found = data.pack(pictures, tmp_path / "out")
    assert found["pictures"] == 10
    assert [(entry["path"], entry["reason"][:13]) for entry in found["skipped"]] == [
        ("cat/cut.png", "cut short"),
        ("cat/not.png", "not a picture"),
    ]
    assert len(data.load(tmp_path / "out", resolution=(12, 16))) == 10


def test_nothing_is_left_where_nothing_is_usable_and_nothing_is_overwritten(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no picture that can be used"):
        data.pack(tmp_path / "bad", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    data.pack(pictures, tmp_path / "out")
    with pytest.raises(DataError, match="not an empty folder"):
        data.pack(pictures, tmp_path / "out")
    with pytest.raises(SettingError, match="at least 1 picture"):
        data.pack(pictures, tmp_path / "new", per_shard=0)


def test_what_was_begun_is_taken_away_when_writing_fails(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(found: shards.Shards, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparring.data.packing.write_index", full)
    with pytest.raises(DataError, match="cannot be written: No space left"):
        data.pack(pictures, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_it_says_what_to_install(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "webdataset", None)
    with pytest.raises(DataError, match=r"pip install 'sparring\[shards\]'"):
        data.pack(pictures, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_picture_of_no_class_among_others_has_no_cls(pictures: Path, tmp_path: Path) -> None:
    Image.open(io.BytesIO((pictures / "cat/0.png").read_bytes())).save(pictures / "stray.png")
    data.pack(pictures, tmp_path / "out")
    inside = members(tmp_path / "out")
    assert sum(name.endswith(".cls") for name in inside) == 10
    assert sum(name.endswith(".png") for name in inside) == 11
    with pytest.raises(DataError, match="1 of 11 pictures are in no class"):
        data.load(tmp_path / "out", resolution=(12, 16), labels=True)
