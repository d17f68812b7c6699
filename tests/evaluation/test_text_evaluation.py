import itertools
import json
import random
import sys
import types
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

import sparring
from sparring.errors import MetricError
from sparring.evaluation import text_sides, texts
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.curves import draw_curves
from sparring.evaluation.judgement import Evaluation, comparable, summary
from sparring.evaluation.label_places import Label, along, placed
from sparring.evaluation.showing import explanation, protocol_lines, verdict
from sparring.evaluation.text_sides import MadeTexts, RealTexts, is_texts, made_texts
from sparring.evaluation.texts import METHODS, OF_CLOUDS, TextJudge, curve, measure_texts
from sparring.networks.text_features import open_text_features
from sparring.training.charts import LEFT, WIDTH

NOUNS = ["man", "woman", "dog", "cat", "boy", "girl", "bird", "horse", "child", "team"]
VERBS = ["sees", "follows", "likes", "holds", "finds", "paints", "meets", "hears"]
KINDS = ["small", "big", "black", "white", "old", "young", "red", "wet", "tired", "happy", "brown", "tall"]
PLACES = ["in the park", "on a bench", "near the river", "at home", "on the beach", "by the road"]


def captions(seed: int, count: int, temperature: float = 1.0) -> list[str]:
    """Sentences of a small grammar whose words are by Zipf's law; colder ones keep to the frequent words."""
    draw = random.Random(seed)

    def word(words: list[str]) -> str:
        return draw.choices(words, [rank ** (-1 / temperature) for rank in range(1, len(words) + 1)])[0]

    return [
        f"a {word(KINDS)} {word(NOUNS)} {word(VERBS)} a {word(KINDS)} {word(NOUNS)} {word(PLACES)}."
        for _ in range(count)
    ]


def shuffled(sentences: list[str]) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.sample(text, len(text))) for text in sentences]


TRAINING, HELD_OUT = captions(0, 900), captions(1, 300)


@pytest.fixture(scope="module")
def judge() -> TextJudge:
    return TextJudge(RealTexts(TRAINING, HELD_OUT, open_text_features("ngrams")))


def judged(judge: TextJudge, made: list[str]) -> Evaluation:
    return judge(MadeTexts(made, {}, made=True))


def test_every_metric_of_texts_is_explained_and_computed() -> None:
    assert {name for name, metric in METRICS.items() if metric.of_texts} == set(METHODS) - set(OF_CLOUDS)
    explanation(list(METHODS))


def test_fresh_real_texts_get_what_stands_beside(judge: TextJudge) -> None:
    found = judged(judge, captions(2, 300))
    for name in ("bleu3", "self_bleu3", "forward", "reverse", "coverage", "repetition"):
        result = found.metrics[name]
        low, high = result.estimate.ends
        assert low - 0.03 * abs(result.value) <= result.extra["real"] <= high + 0.03 * abs(result.value), name
        assert low < high, name
    assert not any("foresee" in notice for notice in found.notices)


def test_shuffled_letters_are_bad_in_all_ways(judge: TextJudge) -> None:
    fresh, broken = judged(judge, captions(2, 300)), judged(judge, shuffled(captions(2, 300)))
    for name in ("forward", "reverse", "fid"):
        assert broken.metrics[name].estimate.ends[0] > 2 * fresh.value(name), name
    for name in ("bleu3", "precision", "coverage"):
        assert broken.value(name) < 0.3 * fresh.value(name), name


def test_one_good_text_repeated_is_found_out(judge: TextJudge) -> None:
    fresh, collapsed = judged(judge, captions(2, 300)), judged(judge, captions(2, 1) * 300)
    assert collapsed.value("self_bleu3") == pytest.approx(1)
    assert collapsed.value("distinct") == pytest.approx(1 / 300)
    assert collapsed.value("recall") == 0
    assert collapsed.value("reverse") > 3 * fresh.value("reverse")


def test_keeping_to_what_is_safe_pleases_bleu_and_forward_and_costs_the_others(judge: TextJudge) -> None:
    fresh, safe = judged(judge, captions(2, 300)), judged(judge, captions(2, 300, temperature=0.5))
    assert safe.value("forward") < fresh.value("forward")
    assert safe.value("bleu3") >= fresh.value("bleu3")
    assert safe.value("self_bleu3") > fresh.value("self_bleu3")
    assert safe.value("reverse") > fresh.value("reverse")
    assert any("easier to foresee" in notice for notice in safe.notices)


def test_training_texts_learnt_by_heart_are_named(judge: TextJudge) -> None:
    found = judged(judge, TRAINING[:300])
    assert found.value("copied") == 1
    assert found.metrics["copied"].extra["real"] < 0.5
    assert any("are training texts" in notice for notice in found.notices)


def test_verses_have_a_form_and_code_a_grammar() -> None:
    verses = [
        f"{a}\u5ddd\u96c4\uff0c{b}\u8c37\u58ee\u3002" for a in "\u79e6\u6c5f\u5c71" for b in "\u51fd\u5ce1\u5e7d"
    ] * 5
    found = measure_texts(verses, verses, [*verses[:30], *verses[:10], "\u5ddd\u5ddd"], ["form", "bleu2"])
    assert found.value("form") == pytest.approx(40 / 41)
    assert found.protocol["texts"]["unit"] == "characters"
    code = [f"def f(x):\n    return x {op} {n}" for op in "+-*/" for n in range(10)]
    found = measure_texts(code, code, [*code[:20], "def f(x:"], ["parses", "forward"])
    assert found.value("parses") == pytest.approx(20 / 21)
    assert found.protocol["texts"]["unit"] == "code"
    with pytest.raises(MetricError, match="form: it needs texts on both sides, of which the real ones keep"):
        measure_texts(TRAINING, HELD_OUT, HELD_OUT, ["form"])
    assert "parses" not in measure_texts(TRAINING, HELD_OUT, HELD_OUT).metrics


def test_all_metrics_come_with_intervals_and_a_protocol_in_json(judge: TextJudge) -> None:
    names = [name for name in METHODS if name not in ("form", "parses")]
    found = judge(MadeTexts(captions(4, 200), {"name": "x", "seed": 3}, made=True), names)
    assert list(found.metrics) == names
    for name in names:
        assert found.metrics[name].estimate.low is not None, name
    protocol = json.loads(json.dumps(found.to_json()))["protocol"]
    assert protocol["texts"]["training"] == 900
    assert protocol["generated"]["seed"] == 3
    assert comparable(protocol) != comparable({**protocol, "texts": {**protocol["texts"], "unit": "characters"}})
    assert "counted in words" in summary(protocol)
    assert ("texts", "900 training texts and 300 held-out ones, counted in words") in protocol_lines(protocol)
    verdict(found)


def test_few_samples_leave_out_what_they_cannot_tell(judge: TextJudge) -> None:
    found = judged(judge, captions(5, 4))
    assert "bleu3" in found.metrics
    assert "self_bleu3" not in found.metrics
    assert any("self_bleu3 left out" in notice for notice in found.notices)
    with pytest.raises(MetricError, match="at least 2"):
        judged(judge, ["a man"])
    with pytest.raises(MetricError, match="ppl: it is not for texts"):
        judge(MadeTexts(captions(5, 40), {}), ["ppl"])
    with pytest.raises(MetricError, match="1 held-out text; at least 2"):
        measure_texts(TRAINING, HELD_OUT[:1], HELD_OUT)
    little = measure_texts(TRAINING[:3], HELD_OUT[:3], HELD_OUT)
    assert little.value("forward") > 1
    assert "precision" not in little.metrics
    assert any("only 3 training texts" in notice for notice in little.notices)


# Temperatures


def by_temperature(n: int, temperature: float) -> list[str]:
    return captions(7, n, temperature)


def test_a_curve_trades_quality_for_variety() -> None:
    points = curve(by_temperature, [0.3, 0.6, 0.9], HELD_OUT, TRAINING, n=300)
    assert json.loads(json.dumps(points)) == points
    assert [point["temperature"] for point in points] == [0.3, 0.6, 0.9]
    for name, falls in (("self_bleu3", True), ("reverse", True), ("forward", False)):
        values = [point[name]["value"] for point in points]
        assert values == sorted(values, reverse=falls), name
    with pytest.raises(MetricError, match="no temperatures"):
        curve(by_temperature, [], HELD_OUT, TRAINING)
    with pytest.raises(MetricError, match="order=6"):
        curve(by_temperature, [1.0], HELD_OUT, TRAINING, order=6)


@pytest.mark.parametrize("plane", ["bleu", "perplexity"])
def test_curves_are_drawn_inside_with_all_their_points(plane: str) -> None:
    points = curve(by_temperature, [0.3, 1.0], HELD_OUT, TRAINING, n=60)
    svg = ElementTree.fromstring(draw_curves({"<a>": points, "b": points[:1]}, plane))
    circles = list(svg.iter("circle"))
    assert len(circles) == 3
    assert all(0 < float(c.get("cx", 0)) < 340 and 0 < float(c.get("cy", 0)) < 200 for c in circles)
    if plane == "bleu":  # minus BLEU: the better is lower, and more variety further left
        left, right = sorted(circles[:2], key=lambda c: float(c.get("cx", 0)))
        assert "temperature 1:" in str(left.findtext("title"))
        assert float(right.get("cx", 0)) > float(left.get("cx", 0))
    assert draw_curves({}) == ""


@pytest.mark.parametrize("plane", ["bleu", "perplexity"])
def test_names_of_curves_that_end_at_one_place_stand_apart(plane: str) -> None:
    def point(forward: float, reverse: float) -> dict[str, Any]:
        numbers = {"bleu3": forward / 1000, "self_bleu3": reverse / 1000, "forward": forward, "reverse": reverse}
        return {"temperature": 1.0} | {
            name: {"value": value, "low": 0.95 * value, "high": 1.05 * value, "real": value}
            for name, value in numbers.items()
        }

    points = [point(300, 500), point(200, 400)]
    names = ["before the game", "at the end", "\u7532\u4e59\u4e19", "d", "e"]
    svg = ElementTree.fromstring(draw_curves(dict.fromkeys(names, points), plane))
    found = [each for each in svg.iter("text") if each.text in ("real", *names)]
    labels = [Label(str(each.text), float(each.get("x", 0)), float(each.get("y", 0))) for each in found]
    assert {label.name for label in labels} == {"real", *names}
    assert not any(one.overlaps(other) for one, other in itertools.combinations(labels, 2))
    assert all(label.box[0] >= LEFT and label.box[2] <= WIDTH and label.box[1] >= 0 for label in labels)


def test_a_name_stands_off_what_is_drawn() -> None:
    """Of the places beside its point the lines leave the one to the left."""
    lines = along([(100, 100), (200, 100)]) + along([(100, 40), (100, 160)]) + along([(100, 50), (200, 50)])
    lines += along([(100, 150), (200, 150)]) + along([(110, 40), (110, 160)])
    (label,) = placed([("abc", [(100, 100)])], lines, (0, 0, 300, 200))
    left, top, right, bottom = label.box
    assert 70 < left < right <= 100 - 2
    assert not any(left < x < right and top < y < bottom for x, y in lines)


# Places


def lines(path: Path, sentences: list[str]) -> Path:
    path.write_text("\n".join(sentences) + "\n", encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stands in for the reader of texts where there is none."""
    found = find_spec("sparring.data.texts")
    if found is None:
        module = types.ModuleType("sparring.data.texts")
        vars(module)["read_texts"] = plain_reader
        monkeypatch.setitem(sys.modules, "sparring.data.texts", module)
    yield


def plain_reader(place: Path, progress: Callable[..., None] | None = None) -> SimpleNamespace:
    content = Path(place).read_text(encoding="utf-8")
    return SimpleNamespace(texts=tuple(content.splitlines()), name=str(place), digest=str(len(content)), skipped=())


def test_files_of_texts_are_compared(tmp_path: Path) -> None:
    real, made = lines(tmp_path / "real.txt", TRAINING), lines(tmp_path / "made.txt", captions(8, 200))
    found = sparring.evaluate(real, made, n=100)
    assert found.protocol["texts"]["held_out"] == 90
    assert found.protocol["texts"]["training"] == 810
    assert (found.protocol["generated"]["count"], found.protocol["generated"]["of"]) == (100, 200)
    assert 0.5 < found.value("bleu3") < 1
    assert list(sparring.evaluate(real, made, "self-bleu4,fid").metrics) == ["self_bleu4", "fid"]
    assert sparring.evaluate(real, made, n=100).to_json() == found.to_json()


def test_each_metric_is_told_of_before_it_is_measured(tmp_path: Path) -> None:
    real = lines(tmp_path / "real.txt", TRAINING)
    told: list[tuple[str, int, int]] = []
    sparring.evaluate(real, real, "bleu3,reverse", progress=lambda *each: told.append(each))
    assert told[-3:] == [("measuring bleu3", 0, 2), ("measuring reverse", 1, 2), ("measuring", 2, 2)]


def test_pictures_and_options_of_pictures_have_no_meaning_for_texts(tmp_path: Path) -> None:
    real = lines(tmp_path / "real.txt", TRAINING)
    with pytest.raises(MetricError, match=r"real.txt is texts and digits is not"):
        sparring.evaluate(real, "digits")
    with pytest.raises(MetricError, match=r"real.txt is texts and digits is not"):
        sparring.evaluate("digits", real)
    with pytest.raises(MetricError, match="resolution has no meaning for texts"):
        sparring.evaluate(real, real, resolution=32)
    with pytest.raises(MetricError, match="wavelets: no feature space of texts"):
        sparring.evaluate(real, real, features="wavelets")
    with pytest.raises(MetricError, match="psnr: it is not for texts"):
        sparring.evaluate(real, real, "psnr")
    with pytest.raises(MetricError, match="of 3 texts none can be held out"):
        sparring.evaluate(lines(tmp_path / "few.txt", TRAINING[:3]), real)
    with pytest.raises(MetricError, match="temperatures are for a run"):
        texts.evaluate_texts(real, real, temperatures=[1.0])


def test_folders_and_runs_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    lines(folder / "deep" / "a.txt", ["a"])
    assert is_texts(folder)
    for number in range(3):
        (folder / f"{number}.png").write_bytes(b"")
    assert not is_texts(folder)  # captions beside pictures
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text('task = "text"\n')
    assert is_texts(run)
    (run / "config.toml").write_text('task = "generate"\n')
    assert not is_texts(run)
    assert not is_texts(tmp_path)  # a folder of runs
    assert not is_texts("x" * 5000)
    assert not is_texts(tmp_path / "none")


def test_a_generator_is_sampled_at_temperatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Writer:
        def sample(self, n: int, seed: int = 0, start: int = 0, temperature: float = 1.0) -> list[str]:
            return by_temperature(start + n, temperature)[start:]

    weights = tmp_path / "g.safetensors"
    weights.write_bytes(b"weights")
    monkeypatch.setattr(text_sides.Model, "load", lambda place, device: Writer())
    told: list[tuple[str, int, int]] = []
    made = made_texts(weights, 600, seed=4, progress=lambda *each: told.append(each))
    assert made.made
    assert (made.texts, made.about["seed"]) == (by_temperature(600, 1.0), 4)
    assert told == [(f"generated: samples of {weights}", done, 600) for done in (256, 512, 600)]
    real = lines(tmp_path / "real.txt", TRAINING)
    found = texts.evaluate_texts(real, weights, "bleu3", n=60, temperatures=[0.5, 1.0])
    assert [point["temperature"] for point in found.protocol["curve"]] == [0.5, 1.0]
