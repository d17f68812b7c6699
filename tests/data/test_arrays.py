from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sparring.data import load, survey
from sparring.errors import DataError

RANDOM = np.random.default_rng(0)
COLOUR = RANDOM.integers(0, 256, (5, 6, 8, 3), np.uint8)


def saved(path: Path, array: NDArray[np.generic]) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("array", [COLOUR, COLOUR.transpose(0, 3, 1, 2), np.asfortranarray(COLOUR)])
def test_channels_last_and_first(tmp_path: Path, array: NDArray[np.uint8]) -> None:
    path = saved(tmp_path / "a.npy", array)
    found = load(path, resolution=(6, 8))
    assert np.array_equal(found.images, COLOUR.transpose(0, 3, 1, 2))
    assert survey(path).common_size() == (6, 8)


@pytest.mark.parametrize("shape", [(5, 6, 8), (5, 6, 8, 1), (5, 1, 6, 8)])
def test_grey(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grey = COLOUR[..., 0]
    assert np.array_equal(load(saved(tmp_path / "a.npy", grey.reshape(shape)), resolution=(6, 8)).images[:, 0], grey)


@pytest.mark.parametrize(
    "array",
    [
        np.array([0, 257, 25700, 65535], np.uint16),
        np.array([0, 1 / 255, 100 / 255, 1], np.float32),
        np.array([0, 1 / 255, 100 / 255, 1], np.float64),
    ],
)
def test_other_numbers_are_scaled(tmp_path: Path, array: NDArray[np.generic]) -> None:
    found = load(saved(tmp_path / "a.npy", array.reshape(1, 2, 2)), resolution=(2, 2))
    assert found.images.flatten().tolist() == [0, 1, 100, 255]


def test_bool_is_black_and_white(tmp_path: Path) -> None:
    found = load(saved(tmp_path / "a.npy", np.eye(2, dtype=bool)[None]), resolution=(2, 2))
    assert found.images.flatten().tolist() == [255, 0, 0, 255]


def test_alpha(tmp_path: Path) -> None:
    found = load(saved(tmp_path / "a.npy", RANDOM.integers(0, 200, (3, 4, 4, 4), np.uint8)), resolution=(4, 4))
    assert found.shape == (4, 4, 4)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (COLOUR.astype(np.int64), "the values are int64"),
        (COLOUR.astype(np.float32), "floats from 0 to 255"),
        (np.full((2, 4, 5), np.nan), "floats from nan"),
        (COLOUR.astype(np.complex64), "complex64"),
        (np.full((2, 4, 5), "x"), "<U1"),
        (COLOUR[0], "one picture"),
        (COLOUR[0, 0, 0], r"shape \(3,\)"),
        (np.zeros((2, 6, 8, 7), np.uint8), r"shape \(2, 6, 8, 7\)"),
        (np.zeros((0, 6, 8, 3), np.uint8), "empty"),
    ],
)
def test_what_cannot_be_pictures_is_refused(tmp_path: Path, array: NDArray[np.generic], message: str) -> None:
    with pytest.raises(DataError, match=message):
        survey(saved(tmp_path / "a.npy", array))


def test_python_objects_are_never_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "sprung").touch, ())

    np.save(tmp_path / "a.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", images=np.array([Trap()], dtype=object))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(DataError, match="Python objects, which are never loaded"):
            survey(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    np.save(path, COLOUR) if name == "a.npy" else np.savez(path, images=COLOUR)
    whole = path.read_bytes()
    for content in (b"", b"nothing", whole[:50], whole[:-500]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"not a whole \.np[yz] file|Python objects"):
            survey(path)


def test_npz_with_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=COLOUR, labels=np.array([10, 9, 10, 2, 9]), extra=np.zeros(3))
    found = load(tmp_path / "a.npz", resolution=(6, 8), labels=True)
    assert found.classes == ("2", "9", "10")
    assert found.labels is not None
    assert found.labels.tolist() == [2, 1, 2, 0, 1]
    np.savez_compressed(tmp_path / "b.npz", pictures=COLOUR, labels=np.array(["b", "a", "b", "a", "a"]))
    assert load(tmp_path / "b.npz", resolution=(6, 8), labels=True).classes == ("a", "b")


def test_npz_that_does_not_say_what_is_what(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=COLOUR, two=COLOUR)
    with pytest.raises(DataError, match="holds one, two; name the pictures `images`"):
        survey(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", images=COLOUR, labels=np.arange(4))
    with pytest.raises(DataError, match=r"labels are int64 \(4,\) for 5 pictures"):
        survey(tmp_path / "b.npz")


def test_npz_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", images=np.zeros((100, 100, 100), np.uint8))
    monkeypatch.setattr("sparring.data.memory.available", lambda: 1_000_000)
    with pytest.raises(DataError, match="do not fit into memory"):
        survey(tmp_path / "bomb.npz")
