import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import sparring
from sparring import config, data
from sparring.adversarial.objectives import OBJECTIVES
from sparring.api import judging_time
from sparring.chooser import choose
from sparring.data.vocabularies import END
from sparring.errors import RunError, SettingError
from sparring.evaluation.judgement import Result
from sparring.metrics.estimate import Estimate
from sparring.randomness import Random
from sparring.tasks import sequences
from sparring.tasks.sample import Sample, View
from sparring.tasks.sequences import Blueprint, alive, sample
from sparring.tasks.text import Text
from sparring.training.files import read_lines
from sparring.training.guard import SIGNALS
from sparring.training.match import Match
from sparring.training.monitor import QuietMonitor
from sparring.training.remedies import calmer

SMALL: dict[str, Any] = {
    "width": 64,
    "depth": 1,
    "judge_width": 64,
    "judge_depth": 1,
    "batch": 16,
    "images": 640,
    "evaluate_every": 320,
    "checkpoint_every": 160,
    "guard_every": 160,
    "quality_samples": 64,
    "supervised": 0.5,
    "head_start": 0.125,
    "device": "cpu",
    "precision": "fp32",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """480 sentences of a small grammar, no two alike."""
    parts = (
        ["a", "the", "one", "some"],
        ["cat", "dog", "bird", "fox", "child"],
        ["sees", "likes", "finds", "hears"],
        ["me", "you", "the sun", "a tree", "water", "snow"],
    )
    path = tmp_path_factory.mktemp("corpus") / "sentences.txt"
    path.write_text("".join(f"{' '.join(words)}.\n" for words in itertools.product(*parts)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return sparring.train(corpus, out=tmp_path_factory.mktemp("runs") / "run", **SMALL)


def task_of(corpus: Path, **given: Any) -> Text:
    settings = choose(str(corpus), {**SMALL, **given}, data.survey_texts(corpus), 1.0)[0]
    return Text(settings, loaded(settings))


def loaded(settings: config.Settings) -> Any:
    assert settings.tokens and settings.vocabulary_size and settings.length
    return data.load_texts(
        settings.data, tokens=settings.tokens, vocabulary_size=settings.vocabulary_size, longest=settings.length
    )


def view_of(task: Text, generator: torch.nn.Module, count: int, judge: torch.nn.Module, step: int = 0) -> View:
    batch, random = task.data.draw(0, 0, count), Random(0, step, count)
    real, fake = task.real(batch, random), task.fake(generator, batch, random)
    return View(real, fake, judge(*real.parts), judge(*fake.parts))


def test_of_documents_the_pieces_are_held_out_and_counted(tmp_path: Path) -> None:
    """Four books of 2,500 lines, twelve of which are a piece."""
    for number in range(4):
        (tmp_path / f"{number}.md").write_text("another line..\n" * 2500)
    survey = data.survey_texts(tmp_path)
    settings, told = choose(str(tmp_path), {"device": "cpu", "tokens": "characters"}, survey, 1.0)
    assert survey.texts == 4
    pieces = len(loaded(settings))
    assert pieces == 4 * math.ceil(2500 / 12)
    assert settings.held_out == int(0.05 * pieces)
    assert settings.images == round(100 * pieces / 64) * 64
    assert any("each piece of a document 100 times" in choice.reason for choice in told)
    settings, _ = choose(str(tmp_path), {"device": "cpu", "tokens": "characters", "length": 15}, survey, 1.0)
    assert (settings.images, settings.held_out) == (round(30 * 10_000 / 64) * 64, 500)


class Judging(torch.nn.Module):
    """Every place and the whole are the more real, the more often symbol 3 occurs there."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = x[..., 3]
        return torch.cat([places, places.mean(1, keepdim=True).expand_as(places)], dim=1)


def test_a_run_has_its_phases_its_texts_and_what_judges_them(run: Any) -> None:
    assert run.summary()["state"] == "finished"
    lines = read_lines(run.folder / "metrics.jsonl")
    played = [line["images"] for line in lines if "discriminator_loss" in line]
    assert min(played) > 320
    assert [line["trade_off"]["when"] for line in lines if "trade_off" in line] == ["before the game", "at the end"]
    assert {"perplexity", "bleu3", "self_bleu3", "reverse", "fid"} <= run.summary()["quality"]["metrics"].keys()
    assert len((run.samples / "latest.txt").read_text(encoding="utf-8").splitlines()) == 16
    report = run.report.read_text(encoding="utf-8")
    assert "before the game" in report
    assert "Over texts seen" in report and "texts/s" in report and '<th scope="col">Texts</th>' in report
    assert "images seen" not in report and "images/s" not in report


def test_the_first_samples_are_the_same_however_many_are_asked_for(run: Any) -> None:
    model = sparring.load(run)
    texts = model.sample(70, seed=3)
    assert texts[:5] == model.sample(5, seed=3)
    assert texts[60:66] == model.sample(6, seed=3, start=60)
    assert texts != model.sample(70, seed=4)


def test_a_prompt_is_gone_on_from_and_strange_ones_are_refused(run: Any) -> None:
    model = sparring.load(run)
    assert all(text.startswith("the cat ") for text in model.sample(8, prompt="the cat "))
    with pytest.raises(SettingError, match="do not occur in the training data: 床"):
        model.sample(1, prompt="床")
    with pytest.raises(SettingError, match="shorten it"):
        model.sample(1, prompt="a cat sees the sun. " * 10)


def test_prompts_are_brought_to_the_form_that_the_texts_are_in(tmp_path: Path) -> None:
    """A letter and its accent are one symbol in lines, whatever they were in the file, and two in JSON that has two."""
    apart = [f"cafe\u0301 {number}" for number in range(40)]
    together = [unicodedata.normalize("NFC", text) for text in apart]
    (tmp_path / "lines.txt").write_text("\n".join(apart), encoding="utf-8")
    (tmp_path / "apart.jsonl").write_text("\n".join(map(json.dumps, apart)), encoding="utf-8")
    (tmp_path / "together.jsonl").write_text("\n".join(map(json.dumps, together)), encoding="utf-8")
    for name, known in (("lines.txt", together[0]), ("together.jsonl", together[0]), ("apart.jsonl", apart[0])):
        task = task_of(tmp_path / name)
        generator, blueprint = task.players()[0], Blueprint.from_json(task.blueprint.describe())
        for prompt in {apart[0], known}:
            (begun,) = sample(generator, blueprint, 1, seed=0, prompt=prompt).tolist()
            assert begun[: len(known)] == task.data.vocabulary.encode(known), (name, prompt)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -1.0}, "from 0 to 5"),
        ({"top_p": 0.0}, "top_p=0.0: it should be above 0, to 1"),
        ({"top_p": 1.1}, "above 0, to 1"),
        ({"top_p": math.nan}, "above 0, to 1"),
        ({"best_of": 0}, "at least 1"),
        ({"truncation": 0.5}, "takes --temperature"),
        ({"label": 1}, "takes --temperature"),
        ({"n": 0}, "at least 1"),
    ],
)
def test_options_out_of_range_are_refused(run: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        sparring.load(run).sample(**{"n": 2, **options})


@pytest.mark.parametrize(("count", "given"), [(30, {}), (480, {"held_out": 1})])
def test_few_texts_are_learnt_from_even_where_they_are_too_few_to_judge_by(
    corpus: Path, tmp_path: Path, count: int, given: dict[str, Any]
) -> None:
    lines = corpus.read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "few.txt").write_text("".join(lines[:: 480 // count]), encoding="utf-8")
    settings = SMALL | {"images": 160, "evaluate_every": 80, "checkpoint_every": 80} | given
    run = sparring.train(tmp_path / "few.txt", out=tmp_path / "run", **settings)
    assert run.summary()["state"] == "finished"
    assert bool(run.summary()["quality"]) == (not given)


def test_the_best_of_several_is_the_one_that_the_discriminator_likes_most(run: Any) -> None:
    from sparring.tasks import sequences

    model = sparring.load(run)
    drawn = sequences.sample(model.generator, model.blueprint, 12, seed=0)
    liked = sequences.scores(model.judge, model.blueprint, drawn).view(3, 4).argmax(1)
    decoded = [model.blueprint.symbols.decode(tokens) for tokens in drawn.tolist()]
    assert model.sample(3, best_of=4) == [decoded[4 * i + int(best)] for i, best in enumerate(liked)]


def test_texts_of_a_run_without_a_game_cannot_be_chosen_among(corpus: Path, tmp_path: Path) -> None:
    run = sparring.train(corpus, out=tmp_path / "run", **SMALL | {"adversarial": False, "images": 160})
    assert run.settings().quality_metric == "perplexity"
    with pytest.raises(RunError, match="needs a discriminator"):
        sparring.load(run).sample(2, best_of=2)


class Interrupting(QuietMonitor):
    """Once, after so many samples."""

    def __init__(self, after: int) -> None:
        self.after: float = after

    def update(self, measurements: Any, fraction: float, seconds_left: float | None) -> None:
        assert measurements["seen"] == "texts"
        assert "quality" not in measurements or measurements["space"] == "ngrams"
        if measurements["images"] >= self.after:
            self.after = float("inf")
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("after", "gradient"), [(160, "policy"), (480, "policy"), (480, "straight-through")])
def test_a_run_is_the_same_resumed_in_the_game_or_before_it(
    corpus: Path, tmp_path: Path, run: Any, after: int, gradient: str
) -> None:
    chosen = SMALL | {"gradient": gradient}
    whole = run if gradient == "policy" else sparring.train(corpus, out=tmp_path / "whole", **chosen)
    halves = sparring.train(corpus, out=tmp_path / "halves", monitor=Interrupting(after), **chosen)
    assert halves.summary()["state"] == "interrupted"
    sparring.resume(halves)
    one, other = (found.load_checkpoint("cpu")[0] for found in (whole, halves))
    assert all(torch.equal(one[group][name], other[group][name]) for group in one for name in one[group])


def test_the_game_begins_when_the_lessons_are_learnt_by_heart(tmp_path: Path) -> None:
    """A few sentences, seen again and again: others are foreseen ever worse."""
    rare = ["moon", "fork", "lamp", "ship", "rock", "wolf", "gold", "mist"]
    lines = [f"{a} {b} {c}" for a, b, c in itertools.product(rare, repeat=3)]
    chosen = torch.randperm(len(lines), generator=torch.Generator().manual_seed(0))[:60].tolist()
    (tmp_path / "few.txt").write_text("\n".join(lines[i] for i in chosen), encoding="utf-8")
    settings = SMALL | {"images": 16_000, "supervised": 0.9, "head_start": 0.05, "held_out": 24, "symbol_dropout": 0.0}
    settings |= dict.fromkeys(("evaluate_every", "checkpoint_every", "guard_every"), 1600)
    settings |= {"supervised_learning_rate": 3e-3, "ema_half_life": 1.0}
    run = sparring.train(tmp_path / "few.txt", out=tmp_path / "run", monitor=Interrupting(9600), **settings)
    events = [event for event in read_lines(run.folder / "events.jsonl") if event["event"] == "game begins"]
    assert len(events) == 1 and "by heart" in events[0]["message"]
    played = [line for line in read_lines(run.folder / "metrics.jsonl") if "discriminator_loss" in line]
    assert played and played[0]["images"] < 0.9 * 16_000


@pytest.mark.parametrize(("adversarial", "seconds"), [(True, 640 + 2 * 10 + 8 * 10), (False, 640 + 2 * 10 + 4 * 10)])
def test_the_time_that_a_run_takes_counts_evaluations_and_curves(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adversarial: bool, seconds: float
) -> None:
    """One image a second and 10 seconds for 64 texts, which are judged twice, and at four temperatures too."""
    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    monkeypatch.setattr("sparring.api.judging_time", lambda match, task: 10.0)
    monkeypatch.setattr("sparring.api.Trainer.train", lambda self: None)
    run = sparring.train(corpus, out=tmp_path / "run", **SMALL | {"adversarial": adversarial})
    assert run.plan()["estimate_seconds"] == seconds


def test_the_time_of_an_evaluation_is_told_without_one(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 64 that takes a tenth of a second, for 640 texts."""
    task, ticks = task_of(corpus, quality_samples=640), itertools.count()
    asked: list[int] = []
    monkeypatch.setattr(Text, "judge", None)
    monkeypatch.setattr(Text, "written", lambda self, generator, n, seed: asked.append(n))
    monkeypatch.setattr("sparring.tasks.text.time.perf_counter", lambda: next(ticks) / 10)
    match = Match(task.settings, task.data, task)
    assert judging_time(match, task) == pytest.approx(1.0)
    assert asked == [64]


def scripted(perplexities: list[float], reverses: list[float]) -> Any:
    """A judge whose decisive numbers are these, one evaluation after the other; from then on the last of them."""
    judge, seen = Text.judge, itertools.count()

    def judged(self: Text, generator: torch.nn.Module) -> Any:
        number = next(seen)
        metrics = {
            name: Result(Estimate(values[min(number, len(values) - 1)]))
            for name, values in (("perplexity", perplexities), ("reverse", reverses))
        }
        found = judge(self, generator)
        return replace(found, metrics={**found.metrics, **metrics})

    return judged


def test_a_game_that_the_guard_takes_back_to_before_it_begins_again_as_it_did(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from a generator of the game that went wrong, though that is the best so far by both metrics."""
    real, begin, begun = Text.real, Match.begin, []

    def broken(self: Text, batch: Any, random: Random) -> Sample:
        sample = real(self, batch, random)
        return Sample((sample.parts[0] * torch.nan,)) if random.step == 28 and random.attempt < 2 else sample

    def noted(self: Match) -> None:
        begun.append((self.state.images, {name: each.clone() for name, each in self.average.state_dict().items()}))
        begin(self)

    monkeypatch.setattr(Match, "rehearse", lambda self: 1.0)
    monkeypatch.setattr(Match, "begin", noted)
    monkeypatch.setattr(Text, "real", broken)
    # The fourth evaluation ends the lessons; the fifth and sixth are of the game, before it breaks each time.
    monkeypatch.setattr(Text, "judge", scripted([10, 9, 8, 9, 4, 4, 8], [50, 50, 50, 50, 5, 5, 50]))
    chosen = SMALL | {"images": 800, "supervised": 0.8, "evaluate_every": 80, "guard_every": 80, "ema_half_life": 1.0}
    run = sparring.train(corpus, out=tmp_path / "run", **chosen)
    events = [event["message"] for event in read_lines(run.folder / "events.jsonl")]
    assert [said for said in events if "went back to 160 texts" in said]
    (_, first), (again, second) = begun
    assert again == 160
    assert all(torch.equal(first[name], second[name]) for name in first)
    kept = load_file(run.folder / "before-the-game.safetensors")
    assert all(torch.equal(first[name], kept[name]) for name in kept)
    assert run.summary()["quality"]["images"] == 400


def test_the_discriminator_has_a_head_start(corpus: Path, tmp_path: Path) -> None:
    """As long as it has, the generator stays as it was when the game began; here to the end."""
    settings = SMALL | {"supervised": 0.25, "head_start": 0.7499, "images": 320, "ema_half_life": 1e-3}
    run = sparring.train(corpus, out=tmp_path / "run", **settings)
    before = load_file(run.folder / "before-the-game.safetensors")
    groups, _ = run.load_checkpoint("cpu")
    assert all(torch.equal(before[name], groups["generator"][name]) for name in before)
    moved = groups["discriminator-optimizer"]
    assert all(float(value) == 15 for name, value in moved.items() if name.endswith(".step"))


def test_the_policy_descends_the_gradient_of_the_expected_reward(corpus: Path) -> None:
    """Over all sequences of two symbols, and by the estimate from many samples."""
    task = task_of(corpus, discount=0.0)
    torch.manual_seed(0)
    generator = task.blueprint.generator()
    weight = generator.bias
    judge, objective = Judging(), OBJECTIVES["non-saturating"]

    def reward_of(tokens: torch.Tensor) -> torch.Tensor:
        """Of a first symbol alone: the rest is the same for all."""
        return 2 * torch.sigmoid((tokens == 3).float()) - 1

    log_probabilities, _ = generator(torch.zeros(1, 1, dtype=torch.int64))
    likely = log_probabilities[0, 0].exp()
    expected = (likely * reward_of(torch.arange(len(likely)))).sum()
    (exact,) = torch.autograd.grad(-expected, weight)

    gradients = []
    for step in range(40):
        view = view_of(task, generator, 512, judge, step)
        beside = dict(view.fake.beside)
        first = torch.zeros_like(beside["chosen"])
        first[:, 0] = 1
        beside["chosen"] = beside["chosen"] * first
        logits = view.fake_logits.clone()
        logits[:, logits.shape[1] // 2 :] = 0  # the judgement of the whole is left out
        fake = Sample(view.fake.parts, beside=beside)
        loss = task.generator_loss(objective, View(view.real, fake, view.real_logits, logits)) * task.usual_length
        gradients.append(torch.autograd.grad(loss, weight)[0])
    found = torch.stack(gradients)
    error = found.std(0) / len(gradients) ** 0.5
    assert bool(((found.mean(0) - exact).abs() < 4 * error + 1e-4).all())
    assert float(exact[3]) < -0.001


def test_rewards_are_those_of_a_symbol_and_ever_less_of_what_follows(corpus: Path) -> None:
    task = task_of(corpus, discount=0.5)
    length, tokens = task.data.longest, torch.full((1, task.data.longest), END)
    tokens[0, :2] = 5
    logits = torch.zeros(1, 2 * length)
    logits[0, :3], logits[0, length:] = torch.tensor([100.0, -100.0, 100.0]), 100.0
    sample = Sample((task.one_hot(tokens),), beside={"tokens": tokens})
    rewards = task.reward(OBJECTIVES["hinge"], View(sample, sample, torch.zeros_like(logits), logits))
    # 1/2 r_t + 1/4 r_(t+1) + 1/8 r_(t+2), and 1 for the whole; what comes after the end earns nothing.
    assert rewards[0, :4].tolist() == pytest.approx([1.375, 0.75, 1.5, 1.0])


def test_the_straight_through_gradient_reaches_the_generator_through_the_symbols(corpus: Path) -> None:
    task = task_of(corpus, gradient="straight-through")
    torch.manual_seed(0)
    generator = task.blueprint.generator()
    view = view_of(task, generator, 8, Judging())
    sample = view.fake.parts[0]
    assert bool(((sample.detach() - task.one_hot(view.fake.beside["tokens"])).abs() < 1e-6).all())
    task.generator_loss(OBJECTIVES["non-saturating"], view).backward()
    gradient = generator.bias.grad
    assert gradient is not None
    # The judge likes symbol 3, so that descending the loss makes it likelier than all others.
    assert int(gradient.argmin()) == 3


def test_weights_for_other_symbols_are_refused(run: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("".join(f"{number} zebras\n" for number in range(100)), encoding="utf-8")
    with pytest.raises(SettingError, match="made of other symbols"):
        sparring.train(other, out=tmp_path / "run", start_from=run.folder, **SMALL)


@pytest.mark.parametrize("content", [None, b"no weights"])
def test_a_run_whose_generator_is_gone_or_damaged_is_not_started_from(
    corpus: Path, run: Any, tmp_path: Path, content: bytes | None
) -> None:
    shutil.copytree(run.folder, tmp_path / "old")
    (tmp_path / "old" / "generator.safetensors").unlink()
    if content is not None:
        (tmp_path / "old" / "generator.safetensors").write_bytes(content)
    with pytest.raises(RunError, match="generator"):
        sparring.train(corpus, out=tmp_path / "run", start_from=tmp_path / "old", **SMALL)


def test_the_straight_through_gradient_does_not_depend_on_which_sequences_go_through_at_once(corpus: Path) -> None:
    task, objective = task_of(corpus, gradient="straight-through"), OBJECTIVES["non-saturating"]
    torch.manual_seed(0)
    generator, judge = task.blueprint.generator(), Judging()
    with torch.no_grad():
        generator.bias[END] = 5.0  # so that some parts hold short sequences alone
    batch, random = task.data.draw(0, 0, 32), Random(0, 0, 32)

    def gradient(size: int) -> torch.Tensor:
        generator.zero_grad()
        for start in range(0, 32, size):
            part, numbers = batch[start : start + size], random.part(start, size)
            real, fake = task.real(part, numbers), task.fake(generator, part, numbers)
            view = View(real, fake, judge(*real.parts), judge(*fake.parts))
            (task.generator_loss(objective, view) * size / 32).backward()
        assert generator.bias.grad is not None
        return generator.bias.grad.clone()

    torch.testing.assert_close(gradient(8), gradient(32), rtol=1e-4, atol=1e-6)


def test_losses_do_not_depend_on_which_sequences_go_through_at_once(corpus: Path) -> None:
    task = task_of(corpus)
    torch.manual_seed(0)
    generator, judge, objective = task.blueprint.generator(), Judging(), OBJECTIVES["non-saturating"]
    whole = view_of(task, generator, 8, judge)
    total = task.generator_loss(objective, whole) + sum(loss for _, loss in task.losses("generator", whole).values())
    parts = []
    batch, random = task.data.draw(0, 0, 8), Random(0, 0, 8)
    for start in (0, 4):
        part, numbers = batch[start : start + 4], random.part(start, 4)
        real, fake = task.real(part, numbers), task.fake(generator, part, numbers)
        view = View(real, fake, judge(*real.parts), judge(*fake.parts))
        others = [loss for _, loss in task.losses("generator", view).values()]
        parts.append(float((task.generator_loss(objective, view) + sum(others)).detach()))
    assert float(total.detach()) == pytest.approx(sum(parts) / 2, rel=1e-4)


def test_a_lesson_in_parts_of_like_lengths_is_the_lesson(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(corpus)
    torch.manual_seed(0)
    generator = task.blueprint.generator()
    batch, random = task.data.draw(0, 0, 32), Random(0, 0, 32)

    def learned(part: int) -> tuple[torch.Tensor, torch.Tensor]:
        monkeypatch.setattr(sequences, "PART", part)
        generator.zero_grad()
        likelihood = task.lesson(generator, batch, random).fake.beside["likelihood"]
        (likelihood * torch.arange(32)).sum().backward()
        assert generator.bias.grad is not None
        return likelihood.detach(), generator.bias.grad.clone()

    monkeypatch.setattr(sequences, "PART", 0)
    assert len(sequences.of_like_lengths(alive(batch.tokens).sum(1))) > 1
    for in_parts, whole in zip(learned(0), learned(10**6), strict=True):
        torch.testing.assert_close(in_parts, whole, rtol=1e-4, atol=1e-5)


def test_perplexity_is_that_of_the_held_out_texts(corpus: Path) -> None:
    task = task_of(corpus)
    generator = task.blueprint.generator().eval()
    assert task.held_out is not None and task.held_out.drawn is not None
    tokens = task.data.batch(task.held_out.drawn).tokens
    log_probabilities, _ = generator(tokens)
    chosen = log_probabilities.gather(2, tokens[..., None]).squeeze(2)[alive(tokens)]
    result = task.perplexity(generator)
    assert result.value == pytest.approx(float((-chosen.mean()).exp().detach()), rel=1e-4)
    low, high = result.estimate.ends
    assert low < result.value < high


def test_the_command_line_writes_texts(run: Any, tmp_path: Path) -> None:
    def sparring_(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "sparring", *words], capture_output=True, text=True, check=False)

    done = sparring_("sample", str(run), "--n", "5", "--seed", "1", "--out", str(tmp_path / "new.txt"), "--json", "-")
    assert done.returncode == 0 and json.loads(done.stdout)["n"] == 5
    texts = (tmp_path / "new.txt").read_text(encoding="utf-8").splitlines()
    assert texts == sparring.load(run).sample(5, seed=1)
    wrong = sparring_("sample", str(run), "--n", "5", "--out", str(tmp_path / "new.png"))
    assert wrong.returncode == 2 and "texts are written as .txt, .jsonl" in wrong.stderr
    options = ["--temperature", "0.9", "--top-p", "0.7"]
    safer = sparring_("sample", str(run), "--n", "5", "--seed", "1", *options, "--out", str(tmp_path / "safer.txt"))
    assert safer.returncode == 0, safer.stderr
    lines = (tmp_path / "safer.txt").read_text(encoding="utf-8").splitlines()
    assert lines == sparring.load(run).sample(5, seed=1, temperature=0.9, top_p=0.7) != texts
    wrong = sparring_("sample", str(run), "--top-p", "0", "--out", str(tmp_path / "none.txt"))
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "sparring: top_p=0.0: it should be above 0, to 1; 1 changes nothing\n",
    )
    folder = sparring_("sample", str(run), "--n", "2", "--out", str(tmp_path / "folder"))
    assert folder.returncode == 0 and len(list((tmp_path / "folder").iterdir())) == 2
    pictures = sparring_("train", "digits", "--task", "text", "--out", str(tmp_path / "run"))
    assert pictures.returncode == 2 and "Traceback" not in pictures.stderr


def test_the_benchmark_of_sampling_measures_every_pair(run: Any) -> None:
    words = Path(__file__).parents[2] / "benchmarks" / "words.py"
    options = ["--temperatures", "1", "0", "--top-p", "1", "0.5", "--n", "20", "--json", "-"]
    command = [sys.executable, str(words), "sampling", str(run.generator), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)["points"]
    assert [(point["temperature"], point["top_p"]) for point in points] == [(1, 1), (1, 0.5), (0, 1), (0, 0.5)]
    assert points[0]["distinct"]["value"] > points[1]["distinct"]["value"]
    assert [point["distinct"]["value"] for point in points[2:]] == [1 / 20, 1 / 20]


def test_whatever_the_guard_changes_goes_with_texts(corpus: Path) -> None:
    settings = task_of(corpus).settings
    for remedy in {remedy for watched in SIGNALS for remedy in watched.remedies}:
        if change := remedy(settings, 0):
            config.complete(settings.model_dump() | dict(change.settings))
    lower = calmer(settings, 0).settings
    assert settings.judge_learning_rate and lower["judge_learning_rate"] < settings.judge_learning_rate


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mirror": True}, "takes mirror=false"),
        ({"resolution": (8, 8)}, "resolution=.* is for --task generate or restore"),
        ({"penalty": "wgan-gp", "penalty_method": "finite-difference"}, "penalty_method=exact"),
        ({"supervised": 0.9, "head_start": 0.2}, "leave nothing of the budget"),
        ({"width": 65}, "^width=65: .* multiple of 64"),
        ({"judge_width": 65}, "^judge_width=65: .* multiple of 64"),
        ({"damage": "denoise"}, "is for --task restore"),
    ],
)
def test_settings_that_do_not_go_with_texts_are_refused(
    corpus: Path, tmp_path: Path, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        sparring.train(corpus, out=tmp_path / "run", **SMALL | given)
