"""What `evaluate` takes for what, and what it says of that which cannot be compared."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.helpers import normal, write_features

from sparring.data.decode import Form
from sparring.errors import DataError, MetricError, SparringError
from sparring.evaluation.evaluator import evaluate
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.sides import Role, agreed, look
from sparring.model import Model
from sparring.tasks import translate


def opened(place: Any, role: Role = "real", count: int = 100) -> Evidence:
    found = look(place, role, count, seed=0)
    return found.open(found.form, None)


def test_pictures_come_with_the_shares_of_their_classes(photos: Path) -> None:
    side = opened(photos)
    assert side.about["count"] == 40
    assert side.about["classes"] == {"bright": 0.5, "dark": 0.5}
    assert side.gallery is not None
    assert side.gallery.shape == (3, 8, 8)
    assert opened(photos, "generated", count=6).about == {
        "kind": "pictures",
        "name": str(photos),
        "count": 6,
        "split": "all that is there",
        "fingerprint": side.about["fingerprint"],
        "of": 40,
        "classes": {"bright": 0.5, "dark": 0.5},
    }


def test_pictures_outside_of_class_folders_have_no_classes(photos: Path) -> None:
    next(photos.rglob("*.png")).rename(photos / "stray.png")
    assert opened(photos).labels is None


def test_an_embedded_set_and_an_array_of_pictures(tmp_path: Path) -> None:
    assert opened("digits").about["count"] == 1797
    np.savez(tmp_path / "made.npz", images=np.zeros((5, 9, 7, 3), np.uint8))
    side = opened(tmp_path / "made.npz")
    assert side.gallery is not None
    assert side.gallery.shape == (3, 9, 7)


def test_who_evaluates_a_translator_is_told_to_apply_it_first(tmp_path: Path) -> None:
    """Whatever the other side is: its own run as `real` would be refused for its patches, and send to and fro."""
    blueprint = translate.Blueprint(3, 8, 1)
    place, run = tmp_path / "painter.safetensors", tmp_path / "runs"
    Model(blueprint.generator(), blueprint).save(place)
    run.mkdir()
    (run / "config.toml").touch()
    with pytest.raises(MetricError, match=r"makes none of noise: sparring apply .*painter"):
        evaluate(run, place)


def test_features_and_moments(tmp_path: Path) -> None:
    rows = normal(0, 30, 4)
    labels = 10**12 * (np.arange(30) % 3)
    side = opened(write_features(tmp_path / "a.npz", rows.astype(np.float32), labels=labels))
    assert side.features is not None
    assert side.features.shape == (30, 4)
    assert side.about["classes"] == {name: 0.333333 for name in ("0", "1000000000000", "2000000000000")}
    np.savez(tmp_path / "m.npz", mu=rows.mean(0), sigma=np.cov(rows, rowvar=False))
    known = opened(tmp_path / "m.npz").moments
    assert np.allclose(known.cov, side.moments.cov, atol=1e-6)
    assert known.count is None


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "nan": ({"features": [[1.0, np.nan], [0.0, 1.0]]}, "NaN or infinity, in row 0"),
    "one dimension": ({"features": [1.0, 2.0]}, "expected \\(samples, features\\)"),
    "no rows": ({"features": np.zeros((0, 3))}, "expected \\(samples, features\\)"),
    "text": ({"features": np.array([["a", "b"]])}, "numbers are needed"),
    "objects": ({"features": np.array([None, 1])}, "cannot be read"),
    "labels": ({"features": np.zeros((3, 2)), "labels": [0, 1]}, "one for each of the 3 rows"),
    "huge labels": ({"features": np.zeros((2, 2)), "labels": np.array([0, 2**64 - 1], np.uint64)}, "whole numbers"),
    "labels in parts": ({"features": np.zeros((2, 2)), "labels": [0.5, 1.0]}, "whole numbers"),
    "half": ({"mu": np.zeros(3)}, "holds only `mu`"),
    "shapes": ({"mu": np.zeros(3), "sigma": np.eye(2)}, "expected \\(D,\\) and \\(D, D\\)"),
    "asymmetric": ({"mu": np.zeros(2), "sigma": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric"),
    "no covariance": ({"mu": np.zeros(2), "sigma": [[1.0, 0.0], [0.0, -1.0]]}, "negative eigenvalues"),
    "infinite moments": ({"mu": np.zeros(2), "sigma": [[np.inf, 0.0], [0.0, 1.0]]}, "NaN or infinity"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_numbers_are_said(tmp_path: Path, case: str) -> None:
    arrays, words = BROKEN[case]
    np.savez(tmp_path / "a.npz", **{name: np.asarray(value) for name, value in arrays.items()})
    with pytest.raises(MetricError, match=words):
        opened(tmp_path / "a.npz")


def test_what_is_not_there_or_empty_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 and then nothing")
    np.savez_compressed(tmp_path / "damaged.npz", features=normal(0, 50, 20))
    damaged = bytearray((tmp_path / "damaged.npz").read_bytes())
    damaged[200:260] = bytes(60)
    (tmp_path / "damaged.npz").write_bytes(damaged)
    for name in ("absent", "absent.npz", "absent.onnx", "empty", "cut.npz", "damaged.npz", "absent.safetensors"):
        with pytest.raises(SparringError, match=name):
            opened(tmp_path / name)
    (tmp_path / "runs/one").mkdir(parents=True)
    (tmp_path / "runs/one/config.toml").touch()
    with pytest.raises(MetricError, match=r"holds runs, not pictures; name one of them, such as .*one"):
        opened(tmp_path / "runs")
    np.save(tmp_path / "rows.npy", normal(0, 5, 3))
    np.savez(tmp_path / "rows.npz", vectors=normal(0, 5, 3))
    for name in ("rows.npy", "rows.npz"):
        with pytest.raises(MetricError, match="under the name `features`"):
            opened(tmp_path / name)
    with pytest.raises(DataError, match="digits"):
        opened("digit")


@pytest.mark.parametrize(
    ("real", "generated", "wanted"),
    [
        (Form(100, 100, 3), Form(64, 64, 1), Form(64, 64, 3)),
        (Form(32, 48, 3), Form(64, 64, 3), Form(32, 32, 3)),
        (Form(64, 64, 1, "pad"), Form(64, 32, 1), Form(64, 32, 1, "pad")),
        (None, Form(8, 8, 4), Form(8, 8, 4)),
        (Form(8, 8, 1), None, Form(8, 8, 1)),
        (None, None, None),
    ],
)
def test_both_sides_are_compared_as_the_generated_one_is_but_no_larger_than_the_real_one(
    real: Form | None, generated: Form | None, wanted: Form | None
) -> None:
    assert agreed(real, generated) == wanted


def test_a_size_that_is_asked_for() -> None:
    assert agreed(Form(8, 8, 1), Form(8, 8, 1), (4, 6)) == Form(4, 6, 1)
