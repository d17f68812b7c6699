"""What the command line, notebooks and programs call: train, resume, load, pull. (`evaluate` is in `evaluation/`.)"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import torch

from sparring import config, data
from sparring.adversarial.player import out_of_memory
from sparring.choices import Choice, every, pick_device, shown
from sparring.chooser import LEAST_BETWEEN_WATCHES, SIZES, WATCHES, AnySurvey, choose
from sparring.config import Settings
from sparring.data.decode import Form
from sparring.data.shards import is_command
from sparring.errors import MetricError, RunError, SettingError
from sparring.model import Model
from sparring.networks.features import SPACES, anchored
from sparring.ranks import Ranks, joined, launch
from sparring.tasks import Task, Tempered, molecules_recipe
from sparring.tasks.chemical import Chemical
from sparring.tasks.generate import Generate, known_as, refuse_unknown_features
from sparring.tasks.molecule_graphs import MoleculeGraphs
from sparring.tasks.molecules import Molecules
from sparring.tasks.restore import Restore
from sparring.tasks.text import Text
from sparring.tasks.translate import Translate
from sparring.tasks.video import Video
from sparring.training.allocation import keep_freed_memory
from sparring.training.files import read_json, write_json, writing
from sparring.training.match import Match
from sparring.training.monitor import Monitor, open_monitor
from sparring.training.next_steps import doubled
from sparring.training.run import Run
from sparring.training.tracking import need_tensorboard
from sparring.training.trainer import Trainer, shrunk
from sparring.training.tuning import compared_by, longest, search, tuned_setting
from sparring.wording import counted, duration, roughly, things

ARCHITECTURE = (
    "network",
    "width",
    "depth",
    "z_dim",
    "spectral_norm",
    "resolution",
    "channels",
    "labels",
    "discriminator_features",
    "discriminator_size",
    "task",
    "damage",
    "scale",
    "paired",
    "content",
    "tokens",
    "vocabulary_size",
    "length",
    "judge_width",
    "judge_depth",
    "seen",
    "motion_dim",
    "spacing",
    "course",
    "layers",
    "representation",
    "atoms",
)


def task_of_molecules(settings: Settings, molecules: Any, ranks: Ranks) -> Task:
    """As sequences or as graphs."""
    kind = MoleculeGraphs if settings.representation == "graph" else Molecules
    return kind(settings, molecules, ranks)


TASKS: dict[str, Callable[[Settings, Any, Ranks], Task]] = {
    "generate": Generate,
    "restore": Restore,
    "translate": Translate,
    "text": Text,
    "molecules": task_of_molecules,
    "video": Video,
}

TUNED_MINUTES = 20.0

LEAST_LEFT = 0.5
"""Seconds after a search below which there is no run to speak of."""

EVALUATIONS = 10
"""Of a run by the clock, at most."""

JUDGING = 0.05
"""Share of the time of a run by the clock that evaluations may take."""


def train(
    source: str | PathLike[str],
    source_b: str | PathLike[str] | None = None,
    *,
    out: str | PathLike[str],
    preset: str = "default",
    size: str = "auto",
    start_from: str | PathLike[str] | None = None,
    monitor: Monitor | None = None,
    **settings: Any,
) -> Run:
    """Trains a generator on pictures, texts, molecules or clips, and returns the run folder when the budget is used.

    source: a folder, archive or array of pictures, shards as in `a-{000..099}.tar` or `pipe:COMMAND`, which is run, a
    corpus of texts, a file of molecules, clips, or the name of an embedded set such as `digits`. source_b: a second
    set, which pictures of the first are translated into, with a sub-folder for each style.
    out: a folder that does not exist yet. preset: a name of `sparring presets`, or a TOML file.
    size: XS, S, M, L or XL, the one dial of capacity; auto is M. start_from: a run whose weights to start with; its
    architecture is taken over. monitor: what is told on the way; None shows progress on standard error.
    settings: any of `sparring.config.Settings`; all others are chosen. `images` or `minutes` set the budget.

    Under `torchrun` every process has a part of each batch, the first writes the run folder, and a launch that was
    restarted goes on with the run that it began.

    Raises: DataError if there is no usable picture, SettingError for unknown or wrong settings, RunError if `out` is
    taken or cannot be written, or if another process went away.
    """
    given, factor = asked_for(preset, size, settings)
    run = Run(out)
    with joined() as ranks:
        begun = ranks.told(begun_by_this_launch(run) if ranks.first else None)
        if begun is None:
            start(run, source, given, ranks, monitor, factor=factor, start_from=start_from, source_b=source_b)
        elif begun != "finished":
            command = str(source) if is_command(str(source)) else None
            go_on(run, ranks, monitor, shards_from=command, optimise=settings.get("optimise"))
    return run


def tune(
    source: str | PathLike[str],
    *,
    out: str | PathLike[str],
    preset: str = "default",
    size: str = "auto",
    start_from: str | PathLike[str] | None = None,
    monitor: Monitor | None = None,
    **settings: Any,
) -> Run:
    """Trains as `train` does, and uses the first part of the minutes to find the setting that matters most.

    There are 20 minutes unless `minutes` says otherwise. Several strengths of the penalty are tried, or several
    learning rates where there is none; see `training/tuning.py`.
    What the best of them has learned by then is kept.

    Raises: as `train`; SettingError too if nothing is left to tune, or several processes were started.
    """
    given, factor = asked_for(preset, size, {"minutes": TUNED_MINUTES} | settings)
    if given["minutes"] is None:
        raise SettingError("tune shares out minutes: give it some, and no images")
    run = Run(out)
    with joined() as ranks:
        if ranks.count > 1:
            raise SettingError("tune is for one process: run it alone, then train with what it found on many")
        start(run, source, given, ranks, monitor, factor=factor, start_from=start_from, tuned=[*settings])
    return run


def asked_for(preset: str, size: str, settings: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """The checked settings of a preset and of the person, and the factor of the capacity.

    Raises: SettingError.
    """
    mine = {name: config.check(name, value) for name, value in settings.items()}
    recipe = config.preset(preset)
    if molecules_recipe.own_function(recipe.get("optimise")) and "optimise" not in mine:
        raise SettingError(
            f"preset {preset} has molecules rewarded by a program, which is not run because a file says so: name it, "
            f"--set optimise={recipe['optimise']}"
        )
    given = recipe | mine
    if mine.get("images") is not None or mine.get("minutes") is not None:
        given |= {"images": mine.get("images"), "minutes": mine.get("minutes")}
    if size.upper() not in {"AUTO", *SIZES}:
        raise SettingError(f"size={size}: the sizes are {', '.join(SIZES)}, or auto")
    return given, SIZES.get(size.upper(), 1.0)


def start(
    run: Run,
    source: str | PathLike[str],
    given: dict[str, Any],
    ranks: Ranks,
    monitor: Monitor | None,
    *,
    factor: float,
    start_from: str | PathLike[str] | None,
    source_b: str | PathLike[str] | None = None,
    tuned: Sequence[str] | None = None,
) -> None:
    """Trains from the beginning; the first rank chooses the settings, and all play by them.

    tuned: None, or the names of the settings that a search before the run must leave alone.
    """
    ranks.first_does(run.refuse_if_taken)
    origin = Run(start_from).existing() if start_from is not None else None
    if origin:
        theirs = origin.settings()
        task = given.get("task", theirs.task if source_b is None else "translate")
        refuse_other(origin, "task", theirs.task, task)  # before settings of the one are refused by the other
        given = {name: getattr(theirs, name) for name in ARCHITECTURE} | given
    given.pop("data", None)
    given.pop("data_b", None)
    for name in {"quality_features", "discriminator_features"} & given.keys():
        given[name] = anchored(given[name])
    refuse_unknown_features(given.get("discriminator_features", "none"))  # before all pictures are looked at
    if given.get("optimise") is not None:
        given["optimise"] = molecules_recipe.anchored(given["optimise"])
    place = placed(source)
    places = [place]
    if source_b is not None:
        given["data_b"] = placed(source_b)
        if given["data_b"] == place:
            raise SettingError(
                f"{source} is given twice: the second set holds what pictures of the first are to be like"
            )
        places.append(given["data_b"])
    if any(run.folder.absolute().is_relative_to(place) for place in places):
        raise RunError(f"{run} lies inside the folder of the data, and its samples would count as such: choose another")

    with monitor_of(ranks, monitor, run) as monitor, explaining_memory(), ExitStack() as cleanup:
        with ranks.one_a_host_first():  # shards that nobody looked through yet take a while
            surveys = [looked_at(place, given, monitor) for place in places] if ranks.first else []

        def chosen_by_first() -> tuple[Settings, list[Choice]]:
            chosen, choices = choose(place, given, surveys[0], factor, *surveys[1:])
            ranks.part(chosen.batch)  # before all pictures are decoded
            return chosen, choices

        chosen, choices = ranks.first_does(chosen_by_first)
        if origin:
            refuse_other_networks(origin, chosen)
        if chosen.tensorboard:
            need_tensorboard()
        name = tuned_setting(chosen, tuned) if tuned is not None else ""
        match, task, pictures = prepared(chosen, ranks, monitor)
        cleanup.callback(pictures.close)
        if origin:
            refuse_other_symbols(origin, task)
        groups, state = origin.load_checkpoint(chosen.device) if origin else ({}, {})
        ranks.agree(state.get("step"), f"the newest checkpoint of {origin}")

        def begun(match: Match) -> Match:
            match.micro_batch.on_shrink = lambda count: monitor.note(shrunk(count), urgent=True)
            if origin:
                match.start_from(groups)
            return match

        speed = begun(match).rehearse()
        if chosen.minutes is not None:
            judging = judging_time(match, task)
            if name and not judging:
                few = f"there are too few {things(chosen.task)[0]} to judge by which setting is the best"
                raise SettingError(f"{few}: use `sparring train`")
            chosen = match.settings = ranks.told(paced(chosen, given, speed, judging))
        estimate = seconds_of(chosen, speed, match, task)
        if name:
            with writing(run.folder):  # better known before the search than after
                run.folder.mkdir(parents=True, exist_ok=True)
            at_most = duration(longest(name, estimate, judging))
            monitor.note(f"trying values of {name} for at most {at_most} of {duration(estimate)}")
            match, choice = search(
                match,
                name,
                lambda settings: begun(Match(settings, match.data, task, ranks, match.held_out)),
                lambda match: task.judge(match.average).result(compared_by(chosen)).estimate,
                monitor.note,
            )
            chosen, choices = match.settings, [choice, *(other for other in choices if other.setting != name)]
            estimate = 60 * (chosen.minutes or 0.0) - match.state.seconds
            if estimate < LEAST_LEFT:
                spent = "the search has used up the time: what the best has learned in it is all there is"
                monitor.note(f"{spent}; give more --minutes", urgent=True)
        if ranks.first:
            run.create(chosen, {"plan.json": plan(choices, estimate), "data.json": about(place, pictures, task)})
            keep_reward(run, task, monitor)
            if name:
                keep_beginning(run, begun(Match(chosen, match.data, task, ranks, match.held_out)))
        try:
            monitor.plan([asdict(choice) for choice in choices], estimate)
            if ranks.first:
                many, one, _ = things(chosen.task)
                run.event("started", 0, f"{counted(len(pictures), many, one)}, {roughly(estimate)}{among(ranks)}")
            tell_damaged(match, run, monitor)
            Trainer(match, task, chosen, run, monitor).train()
        finally:
            run.lock.release()


def keep_beginning(run: Run, match: Match) -> None:
    """Saves a match that nobody has played yet: what a search has come to may be spoilt already, with a learning rate
    far too high for one, and then the guard has this to go back to."""
    match.state.kept = [match.state.step]
    run.save_checkpoint(match.state.step, match.tensors(), match.snapshot())


def looked_at(place: str, given: Mapping[str, Any], monitor: Monitor) -> AnySurvey:
    """What a set holds, as far as a look at it tells: texts, molecules or clips where the task or the place says so."""
    wanted = given.get("task")
    if wanted == "video" or (wanted is None and data.surely_clips(place)):
        return data.survey_clips(place, monitor.progress)
    if wanted == "molecules" or (wanted != "text" and data.surely_molecules(place)):
        return data.survey_molecules(place, monitor.progress)
    if wanted == "text" or (wanted is None and data.is_text(place)):
        return data.survey_texts(place, monitor.progress)
    return data.survey(place, monitor.progress)


def begun_by_this_launch(run: Run) -> str | None:
    """The state of a run that this launch of torchrun began before it was restarted; None for any other."""
    if launch() and run.config.is_file() and run.plan().get("launch") == launch():
        return str(run.summary().get("state", "unknown"))
    return None


def resume(
    folder: str | PathLike[str],
    *,
    images: int | None = None,
    minutes: float | None = None,
    device: str | None = None,
    guard: Literal["on", "warn", "off"] | None = None,
    shards_from: str | PathLike[str] | None = None,
    features_from: str | PathLike[str] | None = None,
    optimise: str | None = None,
    monitor: Monitor | None = None,
) -> Run:
    """Goes on with a run where it stopped; `images` or `minutes` give it a new budget, counted from its beginning.

    With a new budget the schedules stretch over it: the learning rate rises again to what it is at that point. device:
    another one than before, for a run that moved; the outcome is the same up to rounding then. guard: another than
    before, from now on. shards_from: where the same pictures lie now; needed where they come out of a command
    (`pipe:...`), which is run only when it is given. features_from: where the file that the discriminator looks through
    lies now; under any name, but the same. optimise: FILE.py:function again, where that rewards molecules: it is run
    only when it is given, too.

    Raises: RunError if there is no run, if it is being trained, finished without a new budget, or its pictures or what
    its discriminator looks through have changed; DataError if they are gone; SettingError if its device is not there.
    """
    run = Run(folder).existing()
    with joined() as ranks:
        go_on(
            run,
            ranks,
            monitor,
            images=images,
            minutes=minutes,
            device=device,
            guard=guard,
            shards_from=shards_from,
            features_from=features_from,
            optimise=optimise,
        )
    return run


def go_on(
    run: Run,
    ranks: Ranks,
    monitor: Monitor | None,
    *,
    images: int | None = None,
    minutes: float | None = None,
    device: str | None = None,
    guard: Literal["on", "warn", "off"] | None = None,
    shards_from: str | PathLike[str] | None = None,
    features_from: str | PathLike[str] | None = None,
    optimise: str | None = None,
) -> None:
    """Trains on from the newest checkpoint, which must be the same for all ranks."""
    with (
        monitor_of(ranks, monitor, run) as monitor,
        explaining_memory(),
        run.locked() if ranks.first else nullcontext(),
        ExitStack() as cleanup,
    ):
        settings, summary = ranks.told((run.settings(), run.summary()) if ranks.first else None)
        place = placed(shards_from) if shards_from else run.place_of_pictures(settings)
        anew = {"device": pick_device(device or settings.device), "data": place, "guard": guard or settings.guard}
        settings = settings.model_copy(update=anew)
        seen_through = same_features(run, settings, features_from)
        rewarded = trusted_reward(run, settings, optimise)
        settings = settings.model_copy(update={"discriminator_features": seen_through, "optimise": rewarded})
        if images is not None or minutes is not None:
            budget = {"images": images, "minutes": minutes, "patience": None}
            settings = config.complete(settings.model_dump() | budget)
        elif summary.get("state") == "finished":
            raise RunError(
                f"{run} is finished ({summary.get('message')}); a new budget counts from the beginning: "
                f"`sparring resume {run} {doubled(summary['images'], settings.minutes)}`"
            )
        match, task, pictures = prepared(settings, ranks, monitor)
        cleanup.callback(pictures.close)
        known = run.data()
        many, _, seen = things(settings.task)
        if (known.get("fingerprint"), known.get("pictures")) != (pictures.fingerprint, len(pictures)):
            raise RunError(
                f"{settings.data} is not what {run} was trained on: its {many} have changed, or are packed otherwise "
                f"({known.get('pictures')} then, {len(pictures)} now); a new run with these weights: "
                f"sparring train {settings.data} --out NEW --from {run}"
            )
        before, now = (seen and seen["digest"] for seen in (known.get("seen_through"), looked_through(task)))
        if before != now:  # the name may be another where the file has moved
            raise RunError(
                f"discriminator_features: {settings.discriminator_features} is not the file that {run} was trained "
                f"through: its SHA-256 was {before}; put that back in its place, or say where it lies: "
                f"sparring resume {run} --features-from FILE"
            )
        match.restore(*run.load_checkpoint(settings.device))
        ranks.agree(match.state.step, f"the newest checkpoint of {run}")
        if match.progress >= 1 and summary.get("state") == "finished":
            raise RunError(
                f"{run} has seen {match.state.images:,} {seen} in {duration(match.state.seconds)} already, "
                "and a budget is counted from the beginning: give a larger one"
            )
        ranks.wait()  # from here on the first writes what the others have just read
        if ranks.first:
            take_up(run, match, settings, monitor)
            keep_reward(run, task, monitor)
        tell_damaged(match, run, monitor)
        Trainer(match, task, settings, run, monitor).train()


def take_up(run: Run, match: Match, settings: Settings, monitor: Monitor) -> None:
    """Brings the folder back to where the checkpoint is, and tells that the run goes on."""
    run.forget_after(match.state.images)
    if settings != run.settings():
        run.write_settings(settings)
    run.event("resumed", match.state.images, f"from step {match.state.step:,}{among(match.ranks)}")
    changed = {name: value for name, value in match.state.changes.items() if not name.endswith("_final")}
    as_changed = ", ".join(f"{name} {shown(value)}" for name, value in changed.items())
    by_the_guard = f"; the guard has set {as_changed}" if changed else ""
    seen = f"{match.state.images:,} {things(settings.task)[2]}"
    monitor.note(f"{run}: going on from {seen}{among(match.ranks)}{by_the_guard}")
    if match.ranks.count != match.state.ranks:
        meets_others = settings.objective == "relativistic-all" or settings.partner_stride > 1
        outcome = "another" if meets_others else "the same up to rounding"
        monitor.note(f"trained by {processes(match.state.ranks)} before: the outcome is {outcome}")
        if settings.shuffle_buffer is not None and match.state.images % len(match.data):
            other = (
                "the shards are shared out otherwise than before: in this epoch pictures may be missed or come twice"
            )
            run.event("shared out anew", match.state.images, other)
            monitor.note(other)


def same_features(run: Run, settings: Settings, features_from: str | PathLike[str] | None) -> str:
    """What the discriminator looks through from now on: what it did before, wherever the file lies now.

    Whether that is the same is known when it is opened.
    Raises: SettingError if there is no file any more, or if there never was one.
    """
    known = settings.discriminator_features
    if features_from is None:
        try:
            refuse_unknown_features(known)
        except SettingError as error:
            hint = f"if it lies elsewhere now: sparring resume {run} --features-from FILE"
            raise SettingError(f"{error}; {hint}") from None
        return known
    if known == "none":
        raise SettingError(f"features_from={features_from}: the discriminator of {run} looks through no features")
    space = known.partition("=")[0]
    named = f"{space}=" if space in SPACES else ""
    now = f"{named}{Path(features_from).expanduser().absolute()}"
    refuse_unknown_features(now)
    return now


def trusted_reward(run: Run, settings: Settings, optimise: str | None) -> str | None:
    """What molecules are rewarded by from now on.

    Raises: RunError if that is a program and nobody names it: none is run because a file says so. SettingError for
    another kind of reward than the run has.
    """
    own = molecules_recipe.own_function(settings.optimise)
    if optimise is None:
        if own:
            raise RunError(
                f"{run} rewards molecules by a program, which is not run again unless you name it: "
                f"sparring resume {run} --optimise {settings.optimise}"
            )
        return settings.optimise
    if not own or not molecules_recipe.own_function(optimise):
        raise SettingError(
            f"optimise={optimise}: {run} is asked for {settings.optimise or 'likeness alone'}, and goes on with that"
        )
    return molecules_recipe.anchored(optimise)


def keep_reward(run: Run, task: Task, monitor: Monitor) -> None:
    """Copies the program that rewards molecules into the run, if there is one, with its hash; tells of another one than
    was there."""
    if not isinstance(task, Chemical) or task.asked is None:
        return
    from sparring.chemistry.rewards import OwnReward

    if not isinstance(task.asked, OwnReward):
        return
    path, known = run.folder / "reward.json", {"name": task.asked.name, "sha256": task.asked.digest}
    if path.is_file() and read_json(path) != known:
        said = f"molecules are rewarded otherwise from now on: {task.asked.name} is not what it was"
        run.event("reward changed", run.summary().get("images", 0), said)
        monitor.note(said, urgent=True)
    with writing(run.folder):
        task.asked.keep(run.folder)
    write_json(path, known)


def tell_damaged(match: Match, run: Run, monitor: Monitor) -> None:
    """Lets people know of pictures that turn out damaged while they stream."""

    def tell(damaged: Sequence[data.Skipped]) -> None:
        first = f"{damaged[0].path}: {damaged[0].reason}"
        message = f"{len(damaged)} pictures cannot be decoded ({first}); others are shown in their place"
        monitor.note(message)
        if match.ranks.first:
            run.event("skipped", match.state.images, message)

    if isinstance(match.data, data.Stream):
        match.data.tell = tell


def placed(source: str | PathLike[str]) -> str:
    """Where pictures lie, from anywhere; an embedded set and a command as they are."""
    known = {*data.EMBEDDED, *data.CORPORA, *data.EMBEDDED_MOLECULES, *data.EMBEDDED_CLIPS}
    embedded = isinstance(source, str) and source in known
    if embedded or is_command(str(source)):
        return str(source)
    return str(Path(source).expanduser().absolute())


def load(place: str | PathLike[str], device: str = "cpu") -> Model:
    """The generator of a run folder or of a `.safetensors` file, ready to sample from.

    Raises: RunError if there is none.
    """
    return Model.load(place, device)


def pull(
    place: str | PathLike[str], out: str | PathLike[str], revision: str | None = None, device: str = "cpu"
) -> Model:
    """The generator of a repository `USER/NAME` of the Hugging Face Hub, ready to sample from, and a folder with it.

    place: or a folder of the same files. out: a folder that is new or empty. revision: a branch, tag or commit.

    Raises: RunError or SettingError as `sparring.exporting.hub.pull`.
    """
    from sparring.exporting import hub

    hub.pull(place, out, revision)
    return load(out, device)


def refuse_other_networks(origin: Run, settings: Settings) -> None:
    """Raises: SettingError if the weights of a run cannot fit the networks of these settings."""
    theirs = origin.settings()
    for name in ARCHITECTURE:
        refuse_other(origin, name, getattr(theirs, name), getattr(settings, name))


def refuse_other_symbols(origin: Run, task: Task) -> None:
    """Raises: SettingError if numbers mean other symbols than to the weights of a run. RunError if its generator, which
    tells of them, is gone or damaged."""
    mine = task.describe()
    symbols = next((name for name in ("vocabulary", "kinds") if name in mine), None)
    if symbols is None:
        return
    if Model.load(origin.generator).blueprint.describe().get(symbols) != mine[symbols]:
        many = things(str(mine["task"]))[0]
        raise SettingError(
            f"the {many} are made of other symbols than those of {origin}, so its weights mean something else: start "
            f"without --from, or train on the same {many}"
        )


def refuse_other(origin: Run, name: str, there: object, here: object) -> None:
    """Raises: SettingError if a setting that the networks depend on is another than in the run whose weights fit."""
    if there != here:
        raise SettingError(
            f"{name} is {shown(there)} in {origin} and would be {shown(here)} here, so its weights do not fit: "
            "leave it as it was, or start without --from"
        )


def load_data(settings: Settings, monitor: Monitor) -> data.Samples:
    """The pictures, texts, molecules or clips of a run in the form that its settings ask for, on its device."""
    pictures: data.Samples
    match settings.task:
        case "text":
            pictures = load_texts(settings, monitor)
        case "molecules" if settings.representation == "graph":
            most = config.given(settings.atoms)
            pictures = data.load_graph_set(settings.data, most_atoms=most, progress=monitor.progress)
        case "molecules":
            longest = config.given(settings.length)
            pictures = data.load_selfies(settings.data, longest=longest, progress=monitor.progress)
        case "video":
            pictures = data.load_clips(
                settings.data,
                config.form_of(settings),
                labels=settings.labels,
                seen=config.given(settings.seen),
                window=config.given(settings.window),
                progress=monitor.progress,
            )
        case _:
            pictures = load_pictures(settings, monitor)
    for notice in pictures.notices:
        monitor.note(notice)
    if pictures.skipped:
        monitor.note(
            f"{len(pictures):,} {things(settings.task)[0]}, {len(pictures.skipped):,} skipped; the report says why, "
            f"and so does `sparring data check {settings.data}{' --task video' * (settings.task == 'video')}`"
        )
    return pictures.to(settings.device)


def load_texts(settings: Settings, monitor: Monitor) -> data.Samples:
    """The texts of a run."""
    assert settings.tokens and settings.vocabulary_size and settings.length, "complete settings of texts have them"
    return data.load_texts(
        settings.data,
        tokens=settings.tokens,
        vocabulary_size=settings.vocabulary_size,
        longest=settings.length,
        progress=monitor.progress,
    )


def load_pictures(settings: Settings, monitor: Monitor) -> data.Data:
    """The pictures of a run, in memory or streamed."""
    assert settings.resolution and settings.channels and settings.fit, "complete settings of pictures have them"
    (height, width), fit, channels, labels = settings.resolution, settings.fit, settings.channels, settings.labels
    pictures: data.Data
    if settings.data_b is not None:
        assert settings.longest and settings.zoom, "complete settings have both"
        pictures = data.load_two_sets(
            settings.data,
            settings.data_b,
            Form(height, width, channels),
            longest=settings.longest,
            zoom=settings.zoom,
            labels=labels,
            paired=bool(settings.paired),
            progress=monitor.progress,
        )
    elif fit == "patches":
        assert settings.longest and settings.zoom, "complete settings have both"
        form = Form(height, width, channels)
        pictures = data.load_patches(
            settings.data, form, longest=settings.longest, zoom=settings.zoom, labels=labels, progress=monitor.progress
        )
    elif settings.shuffle_buffer is None:
        pictures = data.load(
            settings.data,
            resolution=(height, width),
            fit=fit,
            channels=channels,
            labels=labels,
            progress=monitor.progress,
        )
    else:
        form, buffer = Form(height, width, channels, fit), settings.shuffle_buffer
        pictures = data.stream(settings.data, form, buffer=buffer, labels=labels, progress=monitor.progress)
    return pictures


def prepared(settings: Settings, ranks: Ranks, monitor: Monitor) -> tuple[Match, Task, data.Samples]:
    """The match, its task and the pictures, on the device and with the threads of the settings.

    Raises: SettingError if the settings do not go with so many processes.
    """
    if ranks.count > 1 and settings.device == "mps":
        raise SettingError("device=mps: several processes cannot share it; train with one, or with --device cpu")
    if ranks.count > 1 and ":" in settings.device:
        raise SettingError(
            f"device={settings.device}: with several processes each takes a GPU of its own; give --device cuda"
        )
    with ranks.one_a_host_first():
        pictures = load_data(settings, monitor)
    ranks.agree((pictures.fingerprint, pictures.classes), f"the {things(settings.task)[0]} of {settings.data}")
    task = TASKS[settings.task](settings, pictures, ranks)
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    shown, held_out = pictures.hold_out(settings.held_out)
    return Match(settings, shown, task, ranks, held_out), task, pictures


def monitor_of(ranks: Ranks, monitor: Monitor | None, run: Run) -> Monitor:
    """The monitor given, or one that suits the terminal, on the first rank; the others are quiet."""
    if monitor is not None and ranks.first:
        return monitor
    return open_monitor(f"sparring: {run}", quiet=not ranks.first)


def processes(count: int) -> str:
    """`1 process`, `2 processes`."""
    return f"{count} process" if count == 1 else f"{count} processes"


def among(ranks: Ranks) -> str:
    """The end of a sentence on a run of several processes."""
    return "" if ranks.count == 1 else f", by {processes(ranks.count)}"


def judging_time(match: Match, task: Task) -> float:
    """Seconds that an evaluation takes, once the training pictures' features are there; 0 if there can be none.

    Thousands of texts, written symbol after symbol, would take minutes that the run has not begun yet: theirs is an
    estimate.
    """
    if isinstance(task, Tempered):
        return task.writing_time(match.average, match.settings.quality_samples)
    try:
        task.judge(match.average)
        start = time.perf_counter()
        task.judge(match.average)
        return time.perf_counter() - start
    except MetricError:
        return 0.0


def seconds_of(settings: Settings, speed: float, match: Match, task: Task) -> float:
    """About how many seconds a run takes; speed: images per second.

    Of texts the time for evaluations and for weighing quality against variety counts as well: writing symbol after
    symbol takes long. With pictures it is a small part, and not worth an evaluation before the run.
    """
    if settings.minutes is not None:
        return 60 * settings.minutes
    images = config.given(settings.images)
    if not isinstance(task, Tempered):
        return images / speed
    evaluations = math.ceil(images / settings.evaluate_every)
    weighings = 2 if settings.adversarial else 1  # the first when the game begins
    judged = evaluations + weighings * task.weighed / settings.quality_samples
    return images / speed + judged * judging_time(match, task)


def paced(settings: Settings, given: Mapping[str, Any], speed: float, judging: float) -> Settings:
    """Settings of a run by the clock, whose evaluations and checkpoints are spread over the images it will reach.

    speed: images per second. judging: seconds of an evaluation, which may take `JUDGING` of the time altogether.
    """
    assert settings.minutes is not None
    seconds = 60 * settings.minutes
    reached = speed * seconds
    evaluations = EVALUATIONS if not judging else min(EVALUATIONS, max(1.0, JUDGING * seconds / judging))
    values = settings.model_dump()
    numbers = {"evaluate_every": evaluations, "checkpoint_every": EVALUATIONS, "augment_images": 4}
    for name, number in numbers.items():
        if name not in given:
            values[name] = every(reached / number, settings.batch)
    if "guard_every" not in given:
        values["guard_every"] = every(max(reached / WATCHES, LEAST_BETWEEN_WATCHES * settings.batch), settings.batch)
    return config.complete(values)


def plan(choices: list[Choice], estimate: float) -> dict[str, Any]:
    """What was chosen and why, and the seconds it should take, for `plan.json`."""
    return {
        "choices": [asdict(choice) for choice in choices],
        "estimate_seconds": round(estimate, 1),
        "launch": launch(),
    }


def about(place: str, pictures: data.Samples, task: Task) -> dict[str, Any]:
    """What the report, and later runs, want to know of the pictures and of what sees them, for `data.json`."""
    return {
        "name": Path(pictures.name).name,
        "source": place,
        "pictures": len(pictures),
        "shape": list(pictures.shape),
        "classes": list(pictures.classes),
        "fingerprint": pictures.fingerprint,
        "seen_through": looked_through(task),
        "skipped": [asdict(entry) for entry in pictures.skipped],
    }


def looked_through(task: Task) -> dict[str, str] | None:
    """The frozen network that the discriminator of a task looks through, by name and digest; None if there is none."""
    network = task.seen_through if isinstance(task, Generate | Restore | Translate) else None
    return None if network is None else known_as(network.card)


@contextmanager
def explaining_memory() -> Iterator[None]:
    """Says what to do where smaller micro-batches cannot help: the networks themselves do not fit.

    Raises: SettingError.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise SettingError(
            "the networks do not fit the memory: choose a smaller --size, width or --resolution, or free some"
        ) from None
