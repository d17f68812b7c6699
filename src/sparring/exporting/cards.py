"""The page that goes along with an exported generator: what it is, what it was made of, how good it is, how to use it.

After Mitchell et al. 2019 (Model Cards for Model Reporting, arXiv 1810.03993), as far as a run knows.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import tomlkit

from sparring import config
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.judgement import interval, shown, summary, titled
from sparring.exporting.facts import AI_GENERATED
from sparring.exporting.players import Player
from sparring.exporting.uses import use
from sparring.networks import parameters
from sparring.tasks import generate, graphs, restore, sequences, translate, video
from sparring.training.files import read_json

if TYPE_CHECKING:
    from sparring.exporting.export import Exported
    from sparring.model import Model

LONG = 200
"""Letters of a fact beyond which a page does not repeat it."""


def card(model: "Model", player: Player, facts: Mapping[str, str], made: "Exported") -> str:
    """The page of an exported file, in Markdown."""
    file = PurePath(made.path).name
    difference = f"{made.difference:g} of 255" if "uint8" in made.output else f"{made.difference:.1g} in probability"
    usage = use(player, made.format, file, facts)
    if made.format != "safetensors":
        usage += f"\n\n{inputs_table(player)}"
    numbers = [
        ("size", f"{size(made.bytes, parameters(player.module))}, {made.precision}"),
        ("largest difference from PyTorch on fixed inputs", difference),
    ]
    return page(model, file, usage, facts, numbers)


def page(
    model: "Model", title: str, usage: str, facts: Mapping[str, str], numbers: Sequence[tuple[str, str]] = ()
) -> str:
    """A page in Markdown. numbers: what there is to tell of the file before its facts."""
    folder = model.origin.parent if model.origin is not None else None
    if folder is not None and not (folder / "config.toml").is_file():
        folder = None
    known = [(name, f"`{value}`") for name, value in facts.items() if len(value) <= LONG and name != "note"]
    parts = [
        f"# {title}",
        f"{what_it_is(model)}, made with [sparring](https://pypi.org/project/sparring/) {facts['sparring']}. "
        f"**{AI_GENERATED}** Say so where you show it.",
        "## How to use it",
        usage,
        "## The file",
        table(("", ""), [*numbers, *known]),
    ]
    if folder is not None:
        parts += ["## What it learned from", data_in_words(folder, model.makes), "## How good it is", quality(folder)]
    parts += ["## What to beware of", "\n".join(f"- {line}" for line in limits(model))]
    if folder is not None:
        parts += ["## Settings", f"```toml\n{settings(folder)}\n```"]
    return "\n\n".join(parts) + "\n"


def size(count: int, weights: int) -> str:
    """Of a file of so many bytes."""
    return f"{count / 1e6:.1f} MB, {weights:,} weights"


def what_it_is(model: "Model") -> str:
    """The generator in half a sentence."""
    match model.blueprint:
        case generate.Blueprint(shape=(channels, height, width), classes=classes):
            colours = {1: "grey", 3: "colour", 4: "colour with transparency"}.get(channels, f"{channels} channels")
            of = f" of {len(classes)} classes" if classes else ""
            return f"A generator of pictures{of} of {height}x{width} pixels in {colours} from random numbers (a GAN)"
        case video.Blueprint(shape=(_, height, width), rate=rate):
            return f"A generator of clips of {height}x{width} pixels, at {rate:g} frames a second, from noise (a GAN)"
        case restore.Blueprint(damage=damage, scale=scale):
            enlarged = f", enlarged {scale} times" if scale > 1 else ""
            return f"A generator that makes pictures good ({damage}{enlarged}), of any size (a conditional GAN)"
        case translate.Blueprint(styles=styles):
            into = f" in {len(styles)} styles" if styles else ""
            return f"A generator that translates pictures into those of another kind{into}, of any size (a GAN)"
        case graphs.Blueprint(atoms=atoms):
            return f"A generator of molecules as graphs, of up to {atoms} atoms (a GAN)"
        case sequences.Blueprint(task=task, longest=longest):
            return f"A generator of {'texts' if task == 'text' else task}, of up to {longest - 1} symbols (a GAN)"


def inputs_table(player: Player) -> str:
    """What goes in and comes out."""
    rows = [(entry.name, entry.kind, entry.axes, entry.meaning) for entry in player.inputs]
    rows.append((f"gives {player.output}", player.kind, player.axes, player.meaning))
    return table(
        ("name", "type", "shape", "what it is"),
        [(name, kind, f"({', '.join(map(str, axes))})", meaning) for name, kind, axes, meaning in rows],
    )


def data_in_words(folder: Path, kind: str) -> str:
    """The training data by name, number of what the kind is and fingerprint; no path."""
    data = read_json(folder / "data.json")
    rows = [(name, in_a_line(data[name])) for name in ("name", "fingerprint") if data.get(name)]
    numbers = ((name, value) for name, value in data.items() if type(value) is int)
    rows += [(kind if name == "pictures" else name, f"{value:,}") for name, value in numbers]
    if data.get("classes"):
        rows.append(("classes", in_a_line(", ".join(map(str, data["classes"])))))
    return table(("", ""), rows)


def quality(folder: Path) -> str:
    """The numbers of the run, each with its interval, under which protocol, and what to beware of."""
    path = folder / "summary.json"
    found = read_json(path).get("quality") if path.is_file() else None
    if not found:
        return "Not measured."
    rows = []
    for name, result in found["metrics"].items():
        known = name in METRICS
        value = shown(name, result["value"]) if known else f"{result['value']:.4g}"
        between = interval(name, result.get("low"), result.get("high")) if known else ""
        rows.append(
            (
                name,
                value,
                between,
                METRICS[name].better if known else "",
                titled(name, found["protocol"]) if known else "",
            )
        )
    lines = [
        table(("metric", "value", "95 % interval", "best", "what it is"), rows),
        f"Protocol: {summary(found['protocol'])}.",
        *(f"> {notice}" for notice in found.get("notices", ())),
    ]
    if "images" in found:
        lines.append(f"Measured after {found['images']:,} samples of training, in training.")
    return "\n\n".join(lines)


def limits(model: "Model") -> list[str]:
    """What people who use it should know."""
    found = ["It knows nothing but its training data, and has what is one-sided or unlawful in them."]
    if isinstance(model.blueprint, generate.Blueprint | sequences.Blueprint | graphs.Blueprint | video.Blueprint):
        found.append("Samples can resemble training data; `sparring evaluate --nearest` shows the nearest ones.")
    else:
        found.append("What it adds to a picture is invented, and is no evidence of what was there.")
    if isinstance(model.blueprint, generate.Blueprint) and model.blueprint.discriminator_features:
        known = model.blueprint.discriminator_features
        found.append(
            f"Its discriminator looked through {known['name']} (trained on {known['trained_on'] or 'unknown'}): "
            "distances in those features flatter it."
        )
    return found


def settings(folder: Path) -> str:
    """All settings of the run as TOML, as they were written; of paths the last part alone."""
    values = config.read(folder / "config.toml")
    shown = {name: PurePath(value).name if isinstance(value, str) else value for name, value in values.items()}
    return tomlkit.dumps(shown).strip()


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, tuple("---" for _ in head), *(tuple(map(in_a_line, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def in_a_line(value: object) -> str:
    """As the cell of a table."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    return text if len(text) <= LONG else f"{text[:LONG]}…"
