import pytest

from sparring.evaluation.judgement import space_of, titled


@pytest.mark.parametrize(
    ("name", "features", "title"),
    [
        ("fid", "wavelets", "Frechet distance, wavelets"),
        ("fid", "inception", "Frechet distance"),
        ("kid", "inception-clean", "Kernel distance"),
        ("inception_score", "lite0", "Inception Score, lite0"),
        ("fid", "as given", "Frechet distance, features as given"),
        ("recall", "wavelets", "Recall"),
    ],
)
def test_what_papers_take_in_inception_is_told_apart_elsewhere(name: str, features: str, title: str) -> None:
    assert titled(name, {"features": {"name": features}}) == title


def test_weights_at_a_path_are_not_part_of_a_space() -> None:
    assert space_of("fid", "dinov2=/weights/vit.pth") == "dinov2"
    assert space_of("fid", "inception=/weights/inception.pth") == ""


def test_a_protocol_without_features_has_no_space() -> None:
    assert titled("fid", {}) == titled("fid", {"features": None}) == "Frechet distance"
