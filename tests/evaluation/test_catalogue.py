import io

import pytest
import torch
from rich.console import Console, RenderableType

from sparring.errors import MetricError
from sparring.evaluation.catalogue import METRICS, NEEDS, OF_CLIPS, OF_TEXTS, chosen, improves
from sparring.evaluation.measuring import METHODS
from sparring.evaluation.pairs import measure_pairs
from sparring.evaluation.showing import overview
from sparring.evaluation.transfer import Transfer
from sparring.networks.features import open_features


def test_every_metric_that_is_explained_is_computed_and_the_other_way_round() -> None:
    others = {"transfer", "molecules", "reward", "likelihood", "graphs", *OF_TEXTS, *OF_CLIPS}
    of_sets = [name for name, metric in METRICS.items() if not metric.paired and metric.needs not in others]
    assert of_sets == sorted(METHODS, key=of_sets.index)
    assert set(of_sets) == set(METHODS)
    picture = torch.zeros(3, 16, 16, dtype=torch.uint8)
    of_pairs = [name for name, metric in METRICS.items() if metric.paired]
    hole = torch.ones(16, 16, dtype=torch.bool)
    found = measure_pairs([picture], [picture + 1], open_features("lite0"), of_pairs, inside=[hole])
    assert list(found.metrics) == of_pairs
    pictures = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    judged = Transfer(pictures, {"noise": pictures // 2}, open_features("pixels"))({"noise": pictures})
    assert set(judged.metrics) == {name for name, metric in METRICS.items() if metric.needs == "transfer"}


def test_the_overview_has_each_metric_once() -> None:
    listed = [line.split() for line in printed(overview()).splitlines()]
    names = [words[words[0] == "*"] for words in listed if words and words[words[0] == "*"] in METRICS]
    assert sorted(names) == sorted(METRICS)


def printed(shown: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(shown)
    return out.getvalue()


@pytest.mark.parametrize("name", METRICS)
def test_every_text_says_something_and_names_a_source(name: str) -> None:
    metric = METRICS[name]
    assert metric.needs in NEEDS
    for text in (metric.title, metric.tells, metric.range, metric.lies, metric.source):
        assert len(text) > 5


def test_names_come_with_commas_or_as_a_list_each_once() -> None:
    assert chosen(" fid, recall,fid,Fid-Infinity ") == chosen(["fid", "recall", "fid_infinity"])


@pytest.mark.parametrize(("text", "words"), [("fidd", "mean fid"), ("", "there are fid"), ("zzzz", "there are")])
def test_unknown_names_get_the_nearest_one(text: str, words: str) -> None:
    with pytest.raises(MetricError, match=words):
        chosen(text)


def test_what_is_better_depends_on_the_metric() -> None:
    assert improves("fid", 3.0, None)
    assert improves("fid", 2.0, 3.0)
    assert not improves("fid", 3.0, 3.0)
    assert improves("recall", 0.4, 0.3)
    assert improves("density", 1.1, 0.7)
    assert not improves("density", 1.4, 0.7)
    assert improves("psnr", 31.0, 30.0)
    assert improves("perceptual", 0.1, 0.2)
    with pytest.raises(MetricError, match="not which are the best"):
        improves("memorisation", 0.45, 0.7)
