"""What the site takes from the code, so that it cannot be out of date. MkDocs runs this at every build.

In the pages,

    <!-- code: adversarial/step.py#step -->                     shows a function or class as it is in the source,
    [the step](../src/sparring/adversarial/step.py#step)        links to its line on a page with the whole file,
    <!-- settings -->, <!-- settings: text -->,
    <!-- recipes -->, <!-- sizes -->,
    <!-- presets -->, <!-- networks -->, <!-- metrics -->,
    <!-- spaces -->, <!-- signals -->, <!-- options: train -->  are replaced by tables.

A name that no longer exists in the code stops the build.
"""

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

SOURCE = Path(__file__).parent.parent / "src" / "sparring"
DIRECTIVE = re.compile(r"^<!-- ([a-z]+)(?:: (\S+))? -->$", re.MULTILINE)
LINK = re.compile(r"\[([^]]+)\]\(\.\./src/sparring/([\w./-]+?)(?:#([\w.]+))?\)")
EXAMPLE_PICTURES, EXAMPLE_SIDE = 5000, 64
EXAMPLE_POEMS, EXAMPLE_LENGTH = 15_000, 24


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page for every source file."""
    for path in sorted(SOURCE.rglob("*")):
        if path.suffix in LANGUAGES and "__pycache__" not in path.parts:
            name = path.relative_to(SOURCE).as_posix()
            files.append(File.generated(config, source_page(name), content=show_file(name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fills in tables and code, and resolves links into the source."""

    def fill(match: re.Match[str]) -> str:
        name, argument = match.groups()
        if name not in DIRECTIVES:
            raise PluginError(f"{page.file.src_uri}: <!-- {name} --> is none of {', '.join(DIRECTIVES)}")
        return DIRECTIVES[name](argument)

    def link(match: re.Match[str]) -> str:
        text, name, symbol = match.groups()
        target = files.get_file_from_path(source_page(name))
        if target is None:
            raise PluginError(f"{page.file.src_uri}: src/sparring/{name} is not there")
        # Lines of code are anchors that MkDocs does not know of, so the link is HTML; `symbol_lines` has checked it.
        anchor = f"#__codelineno-0-{symbol_lines(name, symbol)[0]}" if symbol else ""
        return f'<a href="{target.url_relative_to(page.file)}{anchor}">{text}</a>'

    if page.file.src_uri.startswith("source/"):
        return markdown
    return LINK.sub(link, DIRECTIVE.sub(fill, markdown))


# The source

LANGUAGES = {".py": "python", ".toml": "toml"}


def source_page(name: str) -> str:
    """Where the page of a source file is, relative to the docs folder."""
    return f"source/{name.replace('/', '-').replace('.', '-')}.md"


def show_file(name: str) -> str:
    """A page with the whole file and numbered lines."""
    text = (SOURCE / name).read_text(encoding="utf-8")
    language = LANGUAGES[Path(name).suffix]
    head = f'---\ntitle: "{name}"\nsearch:\n  exclude: true\n---\n\n# `sparring/{name}`\n\n'
    return f'{head}````{language} linenums="1"\n{text}````\n' if text.strip() else f"{head}(empty)\n"


@cache
def symbols(name: str) -> dict[str, tuple[int, int]]:
    """First and last line of all functions, classes, their methods and module constants of a file."""
    found: dict[str, tuple[int, int]] = {}

    def note(body: Iterable[ast.stmt], prefix: str) -> None:
        for node in body:
            match node:
                case ast.FunctionDef() | ast.ClassDef():
                    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                    found[prefix + node.name] = first, node.end_lineno or first
                    note(node.body, f"{prefix}{node.name}.")
                case ast.Assign(targets=[ast.Name(id=target)]) | ast.AnnAssign(target=ast.Name(id=target)):
                    found[prefix + target] = node.lineno, node.end_lineno or node.lineno

    note(ast.parse((SOURCE / name).read_text(encoding="utf-8")).body, "")
    return found


def symbol_lines(name: str, symbol: str) -> tuple[int, int]:
    """First and last line of a symbol. Raises PluginError if the file has no such thing."""
    if symbol not in symbols(name):
        raise PluginError(f"{name} has no {symbol}: a page of the documentation points there")
    return symbols(name)[symbol]


def show_symbol(argument: str) -> str:
    """The source of `FILE#SYMBOL` as a block."""
    name, _, symbol = argument.partition("#")
    first, last = symbol_lines(name, symbol)
    lines = (SOURCE / name).read_text(encoding="utf-8").splitlines()[first - 1 : last]
    return "\n".join([f'````python title="{name}"', *lines, "````"])


# Tables


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table. A bar in a cell stands between backticks, where it is no border."""
    cells = [[str(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *cells])


def signals(_: str | None) -> str:
    """What the guard looks at, and above which number it acts."""
    from inspect import getdoc

    from sparring.training.guard import SIGNALS

    head = ("Signal", "Its number", "Acts above", "In a row", "Healthy runs, at most", "Because")
    rows = [
        (
            f"{signal.name}{'' if signal.goes_back else ' *'}",
            " ".join((getdoc(signal.measure) or "").split("\n\n")[0].split()),
            f"{signal.threshold:,g}",
            signal.in_a_row,
            "-" if signal.healthy is None else f"{signal.healthy:g}",
            signal.reason,
        )
        for signal in SIGNALS
    ]
    return table(head, rows)


def settings(task: str | None) -> str:
    """Every setting by group: what it takes, what is chosen in an example, what it means; or those of a task alone."""
    from sparring.config import GROUPS, TASKS_OF, Settings

    schema = Settings.model_json_schema()
    chosen = example_of_texts() if task else example_settings()
    parts = []
    for group in GROUPS:
        rows = [
            (name, takes(schema["properties"][name]), chosen[name], field.description.removeprefix(f"{group}: "))
            for name, field in Settings.model_fields.items()
            if field.json_schema_extra == {"group": group}
        ]
        head = ("Setting", "Takes", "In the example", "Meaning")
        if task is None:
            parts.append(
                f"## {group.capitalize()}\n\n{table(head, [(f'`{row[0]}`{{#{row[0]}}}', *row[1:]) for row in rows])}"
            )
        elif task in TASKS_OF.get(group, ()):
            for name, allowed, value, meaning in rows:
                needed = allowed.removesuffix(", or `none`")  # that is for the runs of other tasks
                parts.append(f"| [`{name}`](settings.md#{name}) | {needed} | {value} | {meaning} |")
    return "\n\n".join(parts) if task is None else "\n".join([table(head, []), *parts])


def example_settings() -> dict[str, str]:
    """What is chosen for a folder of colour photographs on a CPU, as people read it."""
    from sparring.data.surveys import Entry, Survey

    entry = Entry("1.jpg", None, EXAMPLE_SIDE, EXAMPLE_SIDE, "RGB", transparent=False, photographic=True)
    return chosen_for("photos/", Survey("photos/", [entry] * EXAMPLE_PICTURES, (), 0))


def example_of_texts() -> dict[str, str]:
    """What is chosen for a file of poems on a CPU, as people read it."""
    from sparring.data.texts import TextSurvey

    texts, length = EXAMPLE_POEMS, EXAMPLE_LENGTH
    return chosen_for("poems.txt", TextSurvey("poems.txt", texts, texts * length, 4000, length, length, cjk=0.8))


def chosen_for(place: str, survey: Any) -> dict[str, str]:
    """What is chosen for a set on a CPU, as people read it."""
    from sparring import config
    from sparring.chooser import choose

    chosen, _ = choose(place, config.preset("default") | {"device": "cpu"}, survey, 1.0)
    values = chosen.model_dump() | {"precision": "by the processor"}
    return {name: f"`{readable(value)}`" if name != "precision" else value for name, value in values.items()}


def readable(value: Any) -> str:
    """A value as it is written after `--set`."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case tuple():
            return "x".join(map(str, value))
        case float():
            return f"{value:g}" if value < 1e5 else f"{value:.0f}"
        case _:
            return str(value)


def takes(schema: Mapping[str, Any]) -> str:
    """The values that a JSON schema allows, in words."""
    match schema:
        case {"anyOf": kinds}:
            return ", or ".join(takes(kind) for kind in kinds)
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values if value is not None)
        case {"const": value}:
            return f"`{value}`"
        case {"type": "null"}:
            return "`none`"
        case {"type": "boolean"}:
            return "`true`, `false`"
        case {"prefixItems": [side, *_]}:
            return f"`64` or `64x96` (height x width), each {limits(side)}"
        case {"type": "integer"}:
            return f"whole number {limits(schema)}".strip()
        case {"type": "number"}:
            return f"number {limits(schema)}".strip()
        case _:
            return "text"


def limits(schema: Mapping[str, Any]) -> str:
    """The range of a number in words."""
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if max(high or 0, below or 0) >= 2**53:
        high = below = None
    lower = f"above {above:,}" if above is not None else f"from {low:,}" if low is not None else ""
    upper = f"below {below:,}" if below is not None else f"to {high:,}" if high is not None else ""
    return f"{lower} {upper}".strip().replace(".0", "")


def recipes(_: str | None) -> str:
    """What the chooser starts from, by resolution and kind of device."""
    from sparring import chooser

    def rows(chosen: Sequence[chooser.Recipe]) -> str:
        names = [field.name for field in fields(chooser.Recipe)]
        cells = [[getattr(recipe, name) for name in names] for recipe in chosen]
        shown = [[f"{cell:,}" if isinstance(cell, int) else readable(cell) for cell in row] for row in cells]
        return table(["side up to", *names[1:]], shown)

    parts = {
        "Photographs, on a CPU": chooser.CPU_PHOTOGRAPHS,
        "Photographs, on a GPU": chooser.GPU_PHOTOGRAPHS,
        "Anything else, on a CPU": chooser.CPU_RECIPES,
        "Anything else, on a GPU": chooser.GPU_RECIPES,
    }
    return "\n\n".join(f"{title}:\n\n{rows(chosen)}" for title, chosen in parts.items())


def sizes(_: str | None) -> str:
    """What `--size` multiplies."""
    from sparring.chooser import SIZES

    return table(["size", *SIZES], [["width and budget", *(f"x {factor:g}" for factor in SIZES.values())]])


def presets(_: str | None) -> str:
    """The recipes that come along."""
    from sparring.config import presets

    rows = [(f"[`{name}`](../src/sparring/presets/{name}.toml)", about) for name, about in presets().items()]
    return table(("preset", "what it is"), rows)


def networks(_: str | None) -> str:
    """The families of networks."""
    from sparring.networks import FAMILIES

    rows = [(f"[`{name}`](../src/sparring/networks/{name}.py)", family.about) for name, family in FAMILIES.items()]
    return table(("network", "what it is"), rows)


def metrics(_: str | None) -> str:
    """What each metric tells, its range, when it lies, and its source."""
    from sparring.evaluation.catalogue import METRICS, NEEDS

    parts = []
    for name, metric in METRICS.items():
        asked = " Computed only when it is named." if metric.asked else ""
        rows = [
            ("tells", metric.tells),
            ("range", f"{metric.range}; best: {metric.better}"),
            ("lies", metric.lies),
            ("needs", f"{NEEDS[metric.needs]}.{asked}"),
            ("source", metric.source),
        ]
        told = "\n".join(f"- *{title}*: {words}" for title, words in rows)
        parts.append(f"### `{name}`: {metric.title}\n\n{told}")
    return "\n\n".join(parts)


def spaces(_: str | None) -> str:
    """The feature networks that have a name."""
    from sparring.networks.features import SPACES

    return table(("`--features`", "what it is"), [(f"`{name}`", space.about) for name, space in SPACES.items()])


def options(argument: str | None) -> str:
    """Arguments and options of a command, `train` or `data.check`."""
    import typer.main

    from sparring.cli import app

    command: Any = typer.main.get_command(app)
    for name in (argument or "").split("."):
        command = command.commands[name]
    rows = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            shown = f"`{parameter.metavar}`"
        else:
            shown = f"`{' '.join([parameter.opts[0], parameter.metavar or '']).strip()}`"
        default = parameter.default
        shows = default is not None and not callable(default) and str(default) not in ("", "()", "[]", "Ellipsis")
        told = str(parameter.help or "") + (f" Default: `{default}`." if shows and "UNSET" not in str(default) else "")
        rows.append((shown, told))
    return table(("argument or option", "meaning"), rows)


DIRECTIVES: dict[str, Callable[[Any], str]] = {
    "code": show_symbol,
    "settings": settings,
    "signals": signals,
    "recipes": recipes,
    "sizes": sizes,
    "presets": presets,
    "networks": networks,
    "metrics": metrics,
    "spaces": spaces,
    "options": options,
}
