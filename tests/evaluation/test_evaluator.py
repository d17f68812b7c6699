"""The whole way: places in, numbers with intervals and protocol out."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from tests.evaluation.helpers import Means, normal, write_features

import sparring
from sparring.errors import MetricError, RunError
from sparring.evaluation import measuring
from sparring.evaluation.evidence import Evidence
from sparring.evaluation.judgement import comparable, summary
from sparring.metrics.frechet import frechet_distance, moments
from sparring.metrics.kernel import kernel_distance
from sparring.metrics.manifold import manifold_estimates
from sparring.networks.features import open_features


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    """A run of a few seconds on the embedded digits."""
    return sparring.train(
        "digits",
        out=tmp_path_factory.mktemp("runs") / "digits",
        images=2560,
        batch=64,
        width=32,
        depth=1,
        z_dim=8,
        labels=True,
        quality_samples=64,
        device="cpu",
    )


def test_features_give_what_the_functions_give(tmp_path: Path) -> None:
    real, fake = normal(1, 80, 5), normal(2, 70, 5, shift=0.5)
    a, b = write_features(tmp_path / "a.npz", real), write_features(tmp_path / "b.npz", fake)
    found = sparring.evaluate(a, b, "fid,kid,recall", k=3)
    assert list(found.metrics) == ["fid", "kid", "recall"]
    assert found.value("fid") == pytest.approx(frechet_distance(moments(real), moments(fake)), rel=1e-12)
    assert found.metrics["kid"].estimate == kernel_distance(real, fake)
    assert found.metrics["recall"].estimate == manifold_estimates(real, fake, 3).recall
    assert found.protocol["k"] == 3
    assert found.protocol["features"] == {"name": "as given", "dimension": 5}
    assert [found.protocol[side]["count"] for side in ("real", "generated")] == [80, 70]


def test_everything_is_json(tmp_path: Path, photos: Path) -> None:
    found = sparring.evaluate(photos, photos)
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["protocol"]["features"]["name"] == "pixels"
    assert read["protocol"]["pictures"]["height"] == 8
    assert read["protocol"]["real"]["classes"] == {"bright": 0.5, "dark": 0.5}
    for name, result in read["metrics"].items():
        assert result["low"] <= result["value"] <= result["high"], name
    assert read["metrics"]["fid"]["value"] == pytest.approx(0, abs=1e-9)
    assert read["metrics"]["modes"] | {"low": 0} == {"value": 2, "low": 0, "high": 2, "of": 2}
    assert read["metrics"]["copies"]["value"] == 1
    assert "2 D" not in read["notices"]


def test_moments_alone_give_a_distance_without_an_interval(tmp_path: Path) -> None:
    rows = normal(3, 60, 4)
    np.savez(tmp_path / "m.npz", mu=rows.mean(0), sigma=np.cov(rows, rowvar=False))
    features = write_features(tmp_path / "f.npz", normal(4, 60, 4))
    found = sparring.evaluate(tmp_path / "m.npz", features)
    assert list(found.metrics) == ["fid"]
    assert (found.metrics["fid"].estimate.low, found.metrics["fid"].estimate.high) == (None, None)
    with pytest.raises(MetricError, match="recall: it needs features of both sides"):
        sparring.evaluate(tmp_path / "m.npz", features, "recall")


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("modes", "classes in A"),
        ("inception_score", "--features inception"),
        ("ms_ssim", "needs pictures"),
        ("ppl", "as B a generator"),
        ("perceptual_diversity", "needs pictures"),
    ],
)
def test_a_metric_that_cannot_be_computed_says_what_it_needs(tmp_path: Path, metric: str, words: str) -> None:
    features = write_features(tmp_path / "f.npz", normal(4, 60, 4))
    with pytest.raises(MetricError, match=words):
        sparring.evaluate(features, features, metric)


def test_features_of_different_spaces_do_not_compare(tmp_path: Path) -> None:
    a, b = write_features(tmp_path / "a.npz", normal(1, 9, 5)), write_features(tmp_path / "b.npz", normal(1, 9, 4))
    with pytest.raises(MetricError, match=r"5 features and .* 4: they are of different spaces"):
        sparring.evaluate(a, b)


def test_features_beside_pictures_need_the_name_of_their_space(tmp_path: Path, photos: Path) -> None:
    given = write_features(tmp_path / "f.npz", normal(1, 50, 192))
    with pytest.raises(MetricError, match="name the space"):
        sparring.evaluate(given, photos)
    assert sparring.evaluate(given, photos, "fid", features="pixels").value("fid") > 0


def test_labels_beside_features_are_classes(tmp_path: Path) -> None:
    digits = load_digits()
    real = write_features(tmp_path / "real.npz", digits.data, labels=digits.target)
    few = digits.data[digits.target < 7]
    found = sparring.evaluate(real, write_features(tmp_path / "few.npz", few), "modes,kl")
    shares = np.bincount(digits.target) / len(digits.target)
    assert found.value("modes") == 7
    assert found.value("kl") == pytest.approx(-np.log(shares[:7].sum()), abs=0.02)
    assert found.protocol["classifier"]["held_out_accuracy"] > 0.9


def test_a_run_is_its_training_data_and_its_samples(run: sparring.Run, tmp_path: Path) -> None:
    found = sparring.evaluate(run, run, "fid,precision,modes", n=200, nearest=tmp_path / "nearest.png")
    assert found.protocol["real"]["split"] == "training"
    assert found.protocol["generated"]["count"] == 200
    assert found.value("modes") >= 1
    sparring.load(run).save(tmp_path / "g.safetensors")
    again = sparring.evaluate("digits", tmp_path / "g.safetensors", "fid,precision,modes", n=200)
    assert {name: result.value for name, result in again.metrics.items()} == {
        name: result.value for name, result in found.metrics.items()
    }
    with Image.open(tmp_path / "nearest.png") as picture:
        assert picture.height > picture.width / 8


def test_samples_written_to_files_are_judged_as_the_run_is(run: sparring.Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "made.npz", images=sparring.load(run).sample(150, seed=4)[:, 0].numpy())
    from_files = sparring.evaluate(run, tmp_path / "made.npz", "fid,coverage")
    from_run = sparring.evaluate(run, run, "fid,coverage", n=150, seed=4)
    assert from_files.value("fid") == pytest.approx(from_run.value("fid"), rel=1e-6)
    assert from_files.value("coverage") == from_run.value("coverage")


def test_a_run_whose_pictures_have_changed_has_no_training_data(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8)
    np.save(tmp_path / "set.npy", images)
    small = {"images": 64, "batch": 32, "width": 16, "depth": 1, "quality_samples": 64, "device": "cpu"}
    run = sparring.train(tmp_path / "set.npy", out=tmp_path / "run", **small)
    assert sparring.evaluate(run, run, "fid", n=64).value("fid") > 0
    images[7, 1, 1] ^= 1
    np.save(tmp_path / "set.npy", images)
    for resolution in (None, (4, 4)):
        with pytest.raises(RunError, match="pictures have changed"):
            sparring.evaluate(run, run, "fid", n=64, resolution=resolution)


def test_the_same_generator_is_judged_alike_in_training_and_after_it(run: sparring.Run) -> None:
    quality = run.summary()["quality"]
    protocol = quality["protocol"]
    assert protocol["real"]["count"] == 1797
    assert protocol["features"]["name"] == "pixels"
    found = sparring.evaluate(
        run, run, "fid,precision", n=protocol["generated"]["count"], seed=protocol["generated"]["seed"]
    )
    assert found.value("fid") == pytest.approx(quality["metrics"]["fid"]["value"], rel=1e-9)
    assert summary(found.protocol) == summary(protocol)
    assert comparable(found.protocol) == comparable(protocol)
    assert found.value("precision") == quality["metrics"]["precision"]["value"]
    assert found.protocol["neighbours"] == {"real": 64, "generated": 64}


def test_path_length_and_perceptual_diversity_of_a_run(run: sparring.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATHS", 120)
    monkeypatch.setattr(measuring, "PAIRS", 20)
    found = sparring.evaluate(run, run, "ppl,perceptual_diversity", "lite0", n=64)
    for name in ("ppl", "perceptual_diversity"):
        estimate = found.metrics[name].estimate
        assert 0 < estimate.low < estimate.value < estimate.high
    assert found.metrics["perceptual_diversity"].extra["real"] > 0


def test_the_pictures_of_a_path_are_of_one_class(run: sparring.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATHS", 130)  # two full batches and one of two pairs; ten classes divide none
    quiet = sparring.evaluate(run, run, "ppl", "wavelets", n=64).value("ppl")
    model = sparring.load(run)
    z = torch.randn(8, model.blueprint.z_dim, generator=torch.Generator().manual_seed(0))
    classes = torch.eye(10)
    apart = (model.generator(z, classes[:8]) - model.generator(z, classes[1:9])).square().mean()
    # Were they of two classes, the distance between classes over the square of the step, 1e-8, would show.
    assert quiet < 1e6 * float(apart)


def test_what_cannot_be_measured_is_left_out_unless_it_is_named(tmp_path: Path) -> None:
    few = write_features(tmp_path / "few.npz", normal(0, 4, 3), labels=[0, 0, 0, 1])
    others = write_features(tmp_path / "others.npz", normal(1, 4, 3))
    found = sparring.evaluate(few, others)
    assert {"fid", "copies"} <= set(found.metrics)
    assert not {"precision", "modes"} & set(found.metrics)
    assert any(
        notice.startswith("precision, recall, density, coverage left out: 4 real samples") for notice in found.notices
    )
    with pytest.raises(MetricError, match="modes: class 1 has a single real sample"):
        sparring.evaluate(few, others, "modes")


@pytest.mark.parametrize("scale", [1e-200, 1e40, 1e120])
def test_absurd_magnitudes_are_said(tmp_path: Path, scale: float) -> None:
    rows = write_features(tmp_path / "rows.npz", scale * normal(0, 30, 3))
    with pytest.raises(MetricError, match=r"kid: .*(scale|sensible size)"):
        sparring.evaluate(rows, write_features(tmp_path / "others.npz", scale * normal(1, 30, 3)), "kid")


def test_the_order_of_classes_does_not_matter_to_the_inception_score(monkeypatch: pytest.MonkeyPatch) -> None:
    class Sorted(Means):
        """Its features are class scores."""

        def __init__(self) -> None:
            super().__init__()
            self.card = replace(self.card, classes=10)

        def logits(self, pooled: torch.Tensor) -> torch.Tensor:
            return pooled

    monkeypatch.setattr(measuring, "LEAST_PART", 100)
    scores = 20 * torch.eye(10).repeat_interleave(200, 0)
    side = Evidence("sorted", {"count": 2000}, features=scores)
    score = measuring.Comparison(side, side, Sorted()).inception_score()
    assert score.value == pytest.approx(10, rel=0.03)


def test_a_picture_file_for_the_suspects_is_asked_for_before_the_work(photos: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "absent" / "a.png", tmp_path / "a.txt", tmp_path):
        with pytest.raises(MetricError, match="--nearest is the path"):
            sparring.evaluate(photos, photos, nearest=place)
    features = write_features(tmp_path / "f.npz", normal(1, 50, 3))
    with pytest.raises(MetricError, match="one of the sides has none"):
        sparring.evaluate(features, features, nearest=tmp_path / "a.png")
    with pytest.raises(MetricError, match="features already"):
        sparring.evaluate(features, features, features="pixels")


def test_numbers_compare_only_under_the_same_protocol(photos: Path) -> None:
    protocols = [
        sparring.evaluate(photos, photos, "fid", **given).protocol
        for given in ({}, {"k": 4}, {"features": "wavelets"}, {"resolution": (4, 4)}, {"n": 30})
    ]
    assert len({comparable(protocol) for protocol in protocols}) == 5
    assert comparable(sparring.evaluate(photos, photos, "kid").protocol) == comparable(protocols[0])


def test_what_looks_like_a_mistake_is_said(run: sparring.Run, photos: Path, tmp_path: Path) -> None:
    same = sparring.evaluate(photos, photos, "fid,copies").notices
    assert any("same pictures" in notice for notice in same)
    assert any("near-copies" in notice for notice in same)
    sparring.load(run).save(tmp_path / "g.safetensors")
    swapped = sparring.evaluate(tmp_path / "g.safetensors", "digits", "fid", n=100).notices
    assert any("other way round" in notice for notice in swapped)
    few = write_features(tmp_path / "few.npz", normal(0, 30, 2))
    many = write_features(tmp_path / "many.npz", normal(1, 90, 2))
    assert any("only equal numbers compare" in notice for notice in sparring.evaluate(few, many, "recall").notices)
    labels = np.arange(200) % 4
    unclear = write_features(tmp_path / "unclear.npz", normal(0, 200, 2), labels=labels)
    assert any("hardly tell the classes apart" in notice for notice in sparring.evaluate(unclear, many, "kl").notices)
    assert sparring.evaluate("digits", run, "fid,recall,kl", n=1797).notices == ()


def test_too_few_samples_are_said_where_both_sides_have_one_name(run: sparring.Run) -> None:
    assert any(
        "100 samples are few for 64 features" in text for text in sparring.evaluate(run, run, "fid", n=100).notices
    )


def test_moments_of_the_real_side_leave_a_score_of_the_generated_one(photos: Path, tmp_path: Path) -> None:
    rows = normal(0, 50, 1280)
    np.savez(tmp_path / "m.npz", mu=rows.mean(0), sigma=np.cov(rows, rowvar=False))
    found = sparring.evaluate(tmp_path / "m.npz", photos, "fid,inception_score", "lite0")
    assert 1 <= found.value("inception_score") <= 1000


def test_it_is_printed_in_lines(tmp_path: Path) -> None:
    rows = write_features(tmp_path / "a.npz", normal(1, 200, 3))
    shown = repr(sparring.evaluate(rows, rows, "fid,recall"))
    assert shown.splitlines()[0].split() == ["fid", "0", "0", "to", "0"]
    assert "200 generated against 200 real" in shown


def test_thinned_rows_are_spread_evenly() -> None:
    rows = torch.arange(10.0)[:, None]
    assert measuring.thinned(rows, 4).flatten().tolist() == [0, 2, 5, 7]
    assert measuring.thinned(rows, 10) is rows


def test_the_harmonic_mean_is_low_if_one_is() -> None:
    assert measuring.harmonic_mean(0.5, 0.25, 1.0) == pytest.approx(3 / 7)
    assert measuring.harmonic_mean(1.0, 0.0, 1.0) == 0


@pytest.fixture(scope="module")
def through_lite0(tmp_path_factory: pytest.TempPathFactory) -> sparring.Run:
    """A run of two steps on noise, whose discriminator looks through Lite0."""
    folder = tmp_path_factory.mktemp("noise")
    for number in range(70):
        noise = np.random.default_rng(number).integers(0, 255, (32, 32, 3), np.uint8)
        Image.fromarray(noise).save(folder / f"{number}.png")
    return sparring.train(
        folder, out=folder.parent / "run", images=16, batch=8, width=8, z_dim=4, quality_samples=64, device="cpu"
    )


@pytest.mark.parametrize(("features", "flattered"), [("lite0", True), ("lite0-bf16", True), ("wavelets", False)])
def test_numbers_in_the_features_that_trained_it_come_with_a_warning(
    through_lite0: sparring.Run, features: str, flattered: bool
) -> None:
    found = sparring.evaluate(through_lite0, through_lite0, "kid,recall", features, n=64)
    assert any("flatter" in notice for notice in found.notices) is flattered
    alone = sparring.evaluate(
        through_lite0, through_lite0.folder / "generator.safetensors", "kid,recall", features, n=64
    )
    assert any("flatter" in notice for notice in alone.notices) is flattered
    told = found.protocol["generated"]["discriminator_features"]
    assert told["name"] == "lite0"


def test_networks_that_learned_from_the_same_pictures_are_no_way_out() -> None:
    lite0 = open_features("lite0").card
    through = {"name": "lite0", "digest": lite0.digest, "trained_on": "ImageNet"}
    relation = replace(lite0, name="inception", digest="other")
    assert "ImageNet as well" in next(measuring.flattery(through, relation))
    assert not list(measuring.flattery(through, replace(relation, trained_on="")))
    assert not list(measuring.flattery(through | {"trained_on": ""}, replace(relation, trained_on="")))


def test_a_run_is_judged_by_another_network_than_it_was_trained_through(through_lite0: sparring.Run) -> None:
    summary = through_lite0.summary()
    assert summary["quality"]["protocol"]["features"]["name"] == "wavelets"
    assert not any("flatter" in notice for notice in summary["quality"]["notices"])
    assert through_lite0.settings().discriminator_features == "lite0"
