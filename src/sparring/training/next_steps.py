"""What to do with a run, as commands that can be copied; it depends on what the run was for."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Step = tuple[str, str]
"""A command, and what it does."""

STOPPED = "stopped by the guard"
"""The state of a run that broke, with whatever the guard may do about it."""


def next_steps(
    folder: str,
    task: str,
    state: str,
    images: int,
    damage: str = "",
    styles: Sequence[str] = (),
    guard: str = "on",
    minutes: float | None = None,
) -> Sequence[Step]:
    """The commands for a run in a state of its summary, after so many images; `damage` of a run that restores, `styles`
    of one that knows several, `guard` and `minutes` as in the settings."""
    place = shlex.quote(folder)
    resume = (f"sparring resume {place}", "Go on, should it have stopped")
    if task == "restore":
        use = restoring(folder, damage)
    elif task == "translate":
        use = translating(folder, styles)
    else:
        use = OTHER_TASKS.get(task, sampling)(folder)
    if state == "finished":
        more = (f"sparring resume {place} {doubled(images, minutes)}", "Train on, twice as long in all")
        return [*use, more]
    if state == STOPPED and guard == "on":  # it would come to the same end again
        return [*use, (f"sparring doctor {place}", "What went wrong, and what to change in another run")]
    if state == STOPPED:
        resume = (f"{resume[0]} --guard on", "Go on from before it broke, with a guard that changes what it must")
    return [resume, use[0]] if images else [resume]


def doubled(images: int, minutes: float | None) -> str:
    """The option that makes the budget of a run twice as large: its minutes, if it has some, or the images it saw."""
    return f"--minutes {2 * minutes:g}" if minutes else f"--images {2 * images}"


def left_behind(folder: Path) -> str:
    """What there is of a run that was stopped at once, and what to do with it."""
    place = shlex.quote(str(folder))
    if any(folder.glob("checkpoints/step-*")):
        return f"sparring resume {place} goes on from what was saved last"
    if (folder / "config.toml").is_file():
        return f"nothing is saved yet: delete {place}, and the same command begins anew"
    return "nothing is saved yet: the same command begins anew"


def sampling(folder: str) -> list[Step]:
    """For a generator that makes pictures of noise."""
    place = shlex.quote(folder)
    return [
        (f"sparring sample {place} --n 64 --out samples.png", "64 new pictures in one grid"),
        (f"sparring sample {place} --n 1000 --out samples/", "1,000 new pictures, a file each"),
        (f"sparring evaluate {place} {place}", "Judge 10,000 samples against the training data"),
        (f"sparring.load({folder!r}).sample(16)", "The same from Python: uint8 (16, C, H, W)"),
    ]


def restoring(folder: str, damage: str) -> list[Step]:
    """For a generator that makes pictures good."""
    place = shlex.quote(folder)
    holes = " --mask mask.png" if damage == "inpaint" else ""
    given = ", mask=mask" if holes else ""
    return [
        (f"sparring apply {place} photo.jpg restored.png{holes}", "Restore a picture of any size"),
        (f"sparring apply {place} photos/ restored/{holes and ' --mask masks/'}", "Restore all pictures of a folder"),
        (f"sparring evaluate originals/ {place}", "Judge it on other pictures, damaged as in its training"),
        (f"sparring.load({folder!r}).apply(picture{given})", "The same from Python, for a PIL image or a tensor"),
    ]


def translating(folder: str, styles: Sequence[str]) -> list[Step]:
    """For a generator that makes photographs into paintings."""
    place = shlex.quote(folder)
    option = f" --style {shlex.quote(styles[0])}" if styles else ""
    given = f", style={styles[0]!r}" if styles else ""
    mixture = f" --style {shlex.quote(f'{styles[0]}+{styles[1]}')}" if len(styles) > 1 else option
    return [
        (f"sparring apply {place} photo.jpg painting.png{option}", "Paint one of any size"),
        (
            f"sparring apply {place} photos/ painted/ --strength 0.7{mixture}",
            f"Paint a folder{', in two styles at once,' if mixture != option else ','} and go part of the way",
        ),
        (f"sparring.load({folder!r}).apply(picture{given})", "The same from Python, for a PIL image or a tensor"),
    ]


def writing(folder: str) -> list[Step]:
    """For a generator that writes texts."""
    place = shlex.quote(folder)
    return [
        (f"sparring sample {place} --n 20 --out new.txt", "20 new texts; .jsonl for texts of several lines"),
        (
            f"sparring sample {place} --n 20 --temperature 0.8 --best-of 8 --out new.txt",
            "Safer ones, each the best of 8 to the discriminator; --prompt TEXT for how they begin",
        ),
        (f"sparring evaluate {place} {place}", "Judge new texts against those that it was trained on"),
        (f"sparring.load({folder!r}).sample(20)", "The same from Python: a list of texts"),
    ]


def synthesising(folder: str) -> list[Step]:
    """For a generator that writes molecules."""
    place = shlex.quote(folder)
    return [
        (f"sparring sample {place} --n 1000 --out new.smi", "1,000 new molecules; .sdf with shapes, .csv, .png, .html"),
        (
            f"sparring sample {place} --n 100 --scaffold c1ccccc1 --out new.html",
            "100 that hold a scaffold, with drawings, properties and the nearest training molecules",
        ),
        (f"sparring evaluate {place} {place}", "Judge 10,000 new molecules against those that it was trained on"),
        (f"sparring.load({folder!r}).sample(20)", "The same from Python: a list of SMILES"),
    ]


def filming(folder: str) -> list[Step]:
    """For a generator that makes clips."""
    place = shlex.quote(folder)
    return [
        (f"sparring sample {place} --n 16 --out new/", "16 new clips, a film each; --format gif or frames"),
        (
            f"sparring sample {place} --n 16 --frames 100 --loop --out loops.gif",
            "16 of 100 frames side by side, whose end meets their beginning",
        ),
        (f"sparring evaluate {place} {place}", "Judge new clips against those that it was trained on"),
        (f"sparring.load({folder!r}).sample(4)", "The same from Python: uint8 (4, T, C, H, W)"),
    ]


def drawing(folder: str) -> list[Step]:
    """For a generator that draws molecules as graphs."""
    place = shlex.quote(folder)
    best = (
        f"sparring sample {place} --n 100 --best-of 8 --out new.html",
        "Each the best of 8 to the discriminator, with drawings, properties and the nearest training molecules",
    )
    every, _, *others = synthesising(folder)
    return [every, best, *others]


OTHER_TASKS: Mapping[str, Callable[[str], list[Step]]] = {
    "text": writing,
    "molecules": synthesising,
    "video": filming,
    "graph": drawing,
}
"""By the task, or by what a molecule is."""
