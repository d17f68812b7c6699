"""Generators in a repository of the Hugging Face Hub, or a folder of the same files: sent, and fetched again.

A repository of theirs holds weights, a page and samples; nothing in it is run, and nothing but these names is fetched.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from PIL import Image

from sparring.config import OWN_NETWORKS
from sparring.errors import RunError, SettingError
from sparring.exporting.cards import in_a_line, page, size
from sparring.exporting.facts import facts
from sparring.exporting.packages import needed
from sparring.latents import directions
from sparring.model import FILE, JUDGE, Model, read_generator, understanding
from sparring.networks import parameters
from sparring.provenance import marks, png_texts
from sparring.tasks import generate, graphs, restore, sequences, translate
from sparring.training.files import checksum, reading, write_text, writing

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PAGE = "README.md"
PICTURES, TEXTS = "samples.png", "samples.txt"
LAYOUT = (FILE, JUDGE, directions.NAME, PAGE, PICTURES, TEXTS)
"""All files that a generator is shared as; the first is always there, and no other name is fetched."""

REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")
"""The Hub has finer rules, and says so."""

SAMPLED = {"pictures": "samples.png", "texts": "samples.jsonl", "molecules": "samples.smi", "clips": "clips/"}
"""What samples of each kind can always be written to."""

ANYBODY = "USER/NAME"
"""Stands in a page for the repository, where it is not known yet."""

USE = """\
```console
$ pip install 'sparring[hub]'
$ sparring pull {repository} --out {folder}
$ sparring {command}
```

```python
{imports}

model = sparring.pull("{repository}", {name})
{line}
```

What it fetches is a folder that `sample`, `apply`, `latents`, `evaluate`, `serve` and `export` take for a run. The
weights alone are read by `safetensors.torch.load_file`; what network they belong to is JSON in the metadata, under
`sparring generator 1`."""


@dataclass(frozen=True)
class Shared:
    """Where a generator lies now: the address of a repository, or a folder. commit: of the repository.

    files: bytes by name.
    """

    place: str
    commit: str | None
    files: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def push(
    model: Model,
    repository: str | None = None,
    *,
    to_folder: str | PathLike[str] | None = None,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    license: str | None = None,
) -> Shared:
    """Sends the generator to a repository `USER/NAME`, which is made if there is none, or writes the same files into a
    new or empty folder.

    private: nobody else sees it. revision: a branch, made if there is none. message: of the commit. license: an
    identifier of the Hub's, such as cc-by-4.0, for the page.
    All files come in one commit, and those of the layout that the run no longer has go.

    Raises: SettingError for no destination, or two. RunError if the folder is taken, the Hub cannot be reached or
    refuses, or a package is missing.
    """
    if (repository is None) == (to_folder is None):
        raise SettingError("a generator is pushed to a repository, USER/NAME, or with --to-folder DIR into a folder")
    if (network := getattr(model.blueprint, "network", None)) in OWN_NETWORKS:
        raise SettingError(
            f"its networks are of your own family {network!r}, which nobody who pulls it has: export it as ONNX, which "
            "needs none"
        )
    needed("huggingface_hub")
    if to_folder is not None:
        if private or revision is not None or message is not None:
            raise SettingError("--private, --revision and --message are for repositories: --to-folder sends nothing")
        with new_folder(Path(to_folder)) as aside:
            write_layout(model, aside, ANYBODY, license)
        return Shared(str(to_folder), None, sizes(Path(to_folder)))
    assert repository is not None, "refused above"
    refuse_other_names(repository)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_layout(model, folder, repository, license)
        with speaking_with_the_hub(repository):
            address, commit = send(folder, repository, private, revision, message)
        return Shared(address, commit, sizes(folder))


def pull(place: str | PathLike[str], out: str | PathLike[str], revision: str | None = None) -> Shared:
    """Fetches the generator of a repository `USER/NAME`, or of a folder of the same files, into a new or empty folder.

    revision: a branch, tag or commit. The folder appears when all is there and was read.

    Raises: SettingError for a name that no repository can have, or a revision of a folder. RunError if there is no
    generator of ours, `out` is taken, the Hub cannot be reached or refuses, or a package is missing.
    """
    out, folder = Path(out), Path(place)
    local = folder.is_dir()
    if local and revision is not None:
        raise SettingError(f"{place} is a folder here, and --revision is for repositories")
    if not local:
        refuse_other_names(str(place), "there is no such folder, and ")
        needed("huggingface_hub")
    with new_folder(out) as aside:
        commit = None
        if local:
            with reading(folder):
                for name in LAYOUT:
                    if (folder / name).is_file():
                        shutil.copyfile(folder / name, aside / name)
        else:
            with speaking_with_the_hub(str(place)):
                commit = fetch(str(place), revision, aside)
        check(str(place), aside)
    return Shared(str(out), commit, sizes(out))


def refuse_other_names(repository: str, besides: str = "") -> None:
    """Raises: SettingError for a name that no repository has. besides: what else it is not."""
    if not REPOSITORY.fullmatch(repository):
        raise SettingError(
            f"{repository}: {besides}a repository is called USER/NAME, in letters, digits, '-', '_' and '.'"
        )


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` to fill, which takes its place in the end, and is gone if anything goes wrong.

    Raises: RunError if `path` is there and not an empty folder, or cannot be written.
    """
    with reading(path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise RunError(f"{path}: is there already and not an empty folder; give another one")
    path = path.absolute()  # so that `.` has a name
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
            aside = Path(place) / "new"
            aside.mkdir()
            yield aside
            if path.exists():  # it may be where somebody is, and keeps its place
                for file in aside.iterdir():
                    file.rename(path / file.name)
            else:
                aside.rename(path)


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the files in a folder, by name."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def write_layout(model: Model, folder: Path, repository: str, license: str | None) -> None:
    """Fills an empty folder: weights as the run has them, what lies beside them, samples, and a page.

    Raises: RunError if the run's files cannot be read, or changed meanwhile.
    """
    known, weights = facts(model), folder / FILE
    if model.origin is None:
        model.save(weights)
    else:
        copy_weights(model.origin, folder)
        if checksum(weights) != known["weights_sha256"]:
            raise RunError(f"{model.origin}: was replaced while it was read, as a run that goes on does; push it again")
    title = repository.partition("/")[2] if repository != ANYBODY else called(model)
    usage = USE.format(**how_to_use(model, repository, title)) + shown(write_samples(model, folder))
    numbers = [("size", size(weights.stat().st_size, parameters(model.generator)))]
    text = page(model, in_a_line(title), usage, known, numbers)
    write_text(folder / PAGE, f"{front_matter(model, license)}\n{text}")


def copy_weights(origin: Path, folder: Path) -> None:
    """Copies a generator and, if it lies in a run, what belongs to it there. Raises: RunError if they cannot be."""
    with reading(origin.parent):
        shutil.copyfile(origin, folder / FILE)
        for name in (JUDGE, directions.NAME) if origin.name == FILE else ():
            if origin.with_name(name).is_file():
                shutil.copyfile(origin.with_name(name), folder / name)


def called(model: Model) -> str:
    """The name of its run, or of its file."""
    if model.origin is None:
        return "generator"
    return model.origin.absolute().parent.name if model.origin.name == FILE else model.origin.stem


def write_samples(model: Model, folder: Path) -> str | None:
    """Copies the latest samples of the run; gives the name of their file, None if there are none.

    Runs that change pictures show pictures of their data beside what they make of them: those are not passed on.
    """
    origin = model.origin
    if origin is None or origin.name != FILE or isinstance(model.blueprint, restore.Blueprint | translate.Blueprint):
        return None
    latest = origin.parent / "samples" / "latest"
    with reading(origin.parent):
        if not latest.parent.is_dir():  # what was pulled is no run, but may have samples beside it
            found = next((name for name in (PICTURES, TEXTS) if origin.with_name(name).is_file()), None)
            if found is not None:
                shutil.copyfile(origin.with_name(found), folder / found)
            return found
        if latest.with_suffix(".png").is_file():
            # They are of the last weights, and the generator may be better ones from before.
            texts = {name: value for name, value in marks(model).items() if name != "Model"}
            with Image.open(latest.with_suffix(".png")) as picture:
                picture.save(folder / PICTURES, pnginfo=png_texts(texts))
            return PICTURES
        if latest.with_suffix(".txt").is_file():
            shutil.copyfile(latest.with_suffix(".txt"), folder / TEXTS)
            return TEXTS
        if latest.with_suffix(".jsonl").is_file():
            lines = latest.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
            write_text(folder / TEXTS, "\n\n".join(map(json.loads, lines)) + "\n")
            return TEXTS
    return None


def shown(samples: str | None) -> str:
    """How a page shows the samples."""
    if samples is None:
        return ""
    return f"\n\n## Samples\n\n{'!' if samples == PICTURES else ''}[Samples of the run, not chosen]({samples})"


def front_matter(model: Model, license: str | None) -> str:
    """What the Hub reads of a page: YAML between lines of dashes."""
    from huggingface_hub import ModelCardData

    tags = ["sparring", "gan", "ai-generated", str(model.blueprint.describe()["task"])]
    found = ModelCardData(library_name="sparring", tags=tags, pipeline_tag=pipeline_tag(model), license=license or None)
    return f"---\n{found.to_yaml()}\n---\n"


def pipeline_tag(model: Model) -> str | None:
    """The task that the Hub files a generator under; None where it knows none that fits, as of clips from noise."""
    match model.blueprint:
        case generate.Blueprint():
            return "unconditional-image-generation"
        case restore.Blueprint() | translate.Blueprint():
            return "image-to-image"
        case sequences.Blueprint(task="text"):
            return "text-generation"
        case graphs.Blueprint():
            return "graph-ml"
        case _:
            return None


def how_to_use(model: Model, repository: str, name: str) -> Mapping[str, str]:
    """What `USE` is filled in with."""
    folder, given = quote(name), ""
    changes = isinstance(model.blueprint, restore.Blueprint | translate.Blueprint)
    match model.blueprint:
        case restore.Blueprint(damage="inpaint"):
            options, given = " --mask holes.png", ', Image.open("holes.png")'
        case translate.Blueprint(styles=[style, *_]):
            options, given = f" --style {quote(style)}", f", style={json.dumps(style, ensure_ascii=False)}"
        case _:
            options = ""
    if changes:
        command = f"apply {folder} photo.jpg changed.png{options}"
        line = f'changed = model.apply(Image.open("photo.jpg"){given})'
    else:
        command = f"sample {folder} --n 16 --out {SAMPLED[model.makes]}"
        line = f"{model.makes} = model.sample(16)"
    return {
        "repository": repository,
        "folder": folder,
        "name": json.dumps(name, ensure_ascii=False),
        "command": command,
        "imports": "import sparring\nfrom PIL import Image" if changes else "import sparring",
        "line": line,
    }


def hub() -> "HfApi":
    """The Hub that the environment names (HF_ENDPOINT), with the token that `hf auth login` left, if there is one."""
    from huggingface_hub import HfApi

    from sparring import __version__

    return HfApi(library_name="sparring", library_version=__version__)


def send(
    folder: Path, repository: str, private: bool, revision: str | None, message: str | None
) -> tuple[str, str | None]:
    """Makes one commit of all files in a folder; gives the address of the repository, and the commit."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    from sparring import __version__

    api = hub()
    address = api.create_repo(repository, private=private or None, exist_ok=True)
    if private and not api.repo_info(repository).private:
        raise RunError(f"{repository}: is there already, for all to see; make it private on its page, or take another")
    if revision is not None and not revision.startswith("refs/"):  # as of pull requests, which nobody makes by name
        api.create_branch(repository, branch=revision, exist_ok=True)
    there = api.list_repo_files(repository, revision=revision)
    added = [CommitOperationAdd(path.name, path) for path in sorted(folder.iterdir())]
    gone = {name for name in LAYOUT if name in there} - {each.path_in_repo for each in added}
    made = api.create_commit(
        repository,
        [*added, *(CommitOperationDelete(name) for name in sorted(gone))],
        commit_message=message or f"A generator of sparring {__version__}",
        revision=revision,
    )
    return str(address), made.oid


def fetch(repository: str, revision: str | None, folder: Path) -> str | None:
    """Fetches the files of the layout that a repository has into an empty folder; gives the commit they are of."""
    api = hub()
    commit = api.repo_info(repository, revision=revision).sha
    api.snapshot_download(repository, revision=commit, local_dir=folder, allow_patterns=list(LAYOUT))
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # what the library notes for the next time
    return commit


def check(place: str, folder: Path) -> None:
    """Raises: RunError that names `place` if what was fetched from it is no generator of ours, or damaged."""
    if not (folder / FILE).is_file():
        raise RunError(f"{place}: holds no generator (no {FILE}), as `sparring push` leaves one")
    try:
        model = Model.load(folder)
        if (folder / JUDGE).is_file():
            with understanding(folder / JUDGE):
                read_generator(folder / JUDGE, "cpu")
        if (folder / directions.NAME).is_file():
            directions.read(model.from_noise.z_dim, folder / directions.NAME)
    except (RunError, SettingError) as error:
        raise RunError(str(error).replace(str(folder), place)) from None


@contextmanager
def speaking_with_the_hub(repository: str) -> Iterator[None]:
    """Turns what the Hub and the way to it can refuse into a sentence.

    Raises: RunError.
    """
    from huggingface_hub import constants, errors

    host = constants.ENDPOINT
    try:
        yield
    except errors.GatedRepoError:
        raise RunError(f"{repository}: ask for access on its page, {host}/{repository}, then: hf auth login") from None
    except errors.RepositoryNotFoundError:
        raise RunError(
            f"{repository}: {host} has no such repository, or does not show it to you; if it is private: hf auth login"
        ) from None
    except errors.RevisionNotFoundError:
        raise RunError(f"{repository}: there is no such revision; its page lists the branches and tags") from None
    except errors.HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise RunError(
                f"{repository}: {host} does not let you do this: hf auth login, with a token that may write there"
            ) from None
        raise RunError(f"{repository}: {host} refused: {in_a_line(error.server_message or error)}") from None
    except (errors.LocalEntryNotFoundError, errors.FileMetadataError, errors.OfflineModeIsEnabled) as error:
        raise RunError(f"{host}: cannot be reached: {in_a_line(error)}") from None
    # That of the HTTP library, httpx or httpx2, which the errors of the Hub derive from.
    except errors.HTTPError as error:  # type: ignore[attr-defined]
        raise RunError(f"{host}: cannot be reached: {in_a_line(error)}") from None
    except ValueError as error:
        raise RunError(f"{repository}: {host} does not take this: {in_a_line(error)}") from None
