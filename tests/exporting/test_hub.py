"""Generators pushed to and pulled from a server that speaks the Hub's protocol, and folders of the same files."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from tests.exporting.hub_server import OWNER, READER, Hub, serving
from tests.exporting.models import CHANGING, CLIPS, FROM_NOISE, TEXT, model_of
from typer.testing import CliRunner

import sparring
from sparring.cli import app
from sparring.exporting.hub import pull, push
from sparring.latents.directions import NAME, sefa, write
from sparring.tasks import graphs
from sparring.training.files import checksum

library = pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of pictures that lie on this machine."""
    place = tmp_path_factory.mktemp("runs")
    np.save(place / "numbers.npy", (load_digits().images * 15.9).astype(np.uint8)[..., None])
    small = {"width": 32, "depth": 1, "z_dim": 8, "batch": 32, "quality_samples": 64, "device": "cpu"}
    run = sparring.train(place / "numbers.npy", out=place / "digits", images=640, **small)
    write(sefa(sparring.load(run)), run.folder / NAME)
    return run.folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The server, as HF_ENDPOINT would name it: the library reads the environment once, when it is imported."""
    home = tmp_path_factory.mktemp("home")
    with serving() as hub:
        monkeypatch.setattr(library.constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(library.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(library.constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(library.constants, "HF_HUB_CACHE", str(home / "hub"))
        monkeypatch.setattr(library.constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setenv("HF_TOKEN", OWNER)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield hub


def command(*arguments: object, status: int = 0) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == status, (done.output, done.exception)
    return done.stderr if status else done.stdout


def front_matter(page: str) -> Mapping[str, object]:
    return library.ModelCard(page, ignore_metadata_errors=False).data.to_dict()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


GRAPHS = graphs.Blueprint(("C", "N", "O"), (0.0, 4.0, 3.0, 2.0), 5, 8, 16, 1, 16, 1, False)
ALL = ["README.md", "directions.npz", "generator.safetensors", "judge.safetensors", "samples.png"]


def test_the_real_commands_send_and_fetch_every_byte(run: Path, tmp_path: Path) -> None:
    with serving() as hub:
        environment = os.environ | {
            **{"HF_ENDPOINT": hub.address, "HF_TOKEN": OWNER, "HF_HOME": str(tmp_path / "home")},
            **{"HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"},
        }
        answers = []
        for arguments in (
            ("push", str(run), "anna/digits", "--private", "--license", "mit", "--message", "the first"),
            ("pull", "anna/digits", "--out", "runs/again"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "sparring", *arguments, "--json", "-"],
                **{"capture_output": True, "text": True, "cwd": tmp_path, "env": environment, "timeout": 120},
            )
            assert done.returncode == 0, done.stderr
            answers.append(json.loads(done.stdout))
        pushed, pulled = answers
        repository = hub.repositories["anna/digits"]
    assert (repository.private, repository.messages) == (True, ["the first"])
    assert pushed["place"] == f"{hub.address}/anna/digits"
    assert pushed["commit"] == pulled["commit"] == repository.branches["main"]
    again = tmp_path / "runs/again"
    assert names(again) == sorted(pulled["files"]) == ALL
    assert names(again.parent) == ["again"]
    for name in ("generator.safetensors", "judge.safetensors", NAME):
        assert (again / name).read_bytes() == (run / name).read_bytes()
    assert front_matter((again / "README.md").read_text())["license"] == "mit"


def test_what_was_pulled_samples_alike_and_is_taken_by_other_commands(run: Path, tmp_path: Path, hub: Hub) -> None:
    sparring.load(run).push("anna/digits")
    model = sparring.pull("anna/digits", tmp_path / "again")
    assert torch.equal(model.sample(5, seed=3, best_of=2), sparring.load(run).sample(5, seed=3, best_of=2))
    command("sample", tmp_path / "again", "--n", 4, "--out", tmp_path / "a.npy")
    command("evaluate", run, tmp_path / "again", "--n", 64, "--metrics", "fid")
    command("export", tmp_path / "again", "--to", "safetensors", "--out", tmp_path / "g.safetensors")
    assert np.load(tmp_path / "a.npy").shape == (4, 8, 8, 1)


def test_the_page_says_what_it_is_without_a_path_of_this_machine(run: Path, tmp_path: Path) -> None:
    shared = push(sparring.load(run), to_folder=tmp_path / "shared", license="cc-by-4.0")
    assert (shared.place, shared.commit, sorted(shared.files)) == (str(tmp_path / "shared"), None, ALL)
    page = (tmp_path / "shared/README.md").read_text()
    assert front_matter(page) == {
        "library_name": "sparring",
        "license": "cc-by-4.0",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["sparring", "gan", "ai-generated", "generate"],
    }
    for words in (
        "# digits\n",
        "**What this model makes is AI-generated.**",
        "](samples.png)",
        "sparring pull USER/NAME",
    ):
        assert words in page
    assert checksum(run / "generator.safetensors") in page
    for file in (tmp_path / "shared").iterdir():
        assert str(run.parent).encode() not in file.read_bytes()
    with Image.open(tmp_path / "shared/samples.png") as shown, Image.open(run / "samples/latest.png") as latest:
        assert shown.tobytes() == latest.tobytes()
        assert shown.info["AI-generated"] == "true"


def test_the_code_of_the_page_runs(run: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sparring.load(run).push("anna/digits")
    page = hub.repositories["anna/digits"].commits[hub.repositories["anna/digits"].branches["main"]]["README.md"]
    found: dict[str, torch.Tensor] = {}
    exec(re.findall(r"```python\n(.*?)```", page.decode(), re.DOTALL)[0], {}, found)
    assert torch.equal(found["pictures"], sparring.load(run).sample(16))


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        *((name, "image-to-image") for name in CHANGING),
        ("fast with classes", "unconditional-image-generation"),
        ("text", "text-generation"),
        ("video", None),
        ("graphs", "graph-ml"),
    ],
)
def test_every_kind_is_shared_and_its_page_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, tag: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "graphs":
        pytest.importorskip("rdkit")
    model = model_of({**CHANGING, **FROM_NOISE, **CLIPS, "text": TEXT, "graphs": GRAPHS}[name])
    model.push(to_folder=tmp_path / "shared")
    page = (tmp_path / "shared/README.md").read_text()
    assert front_matter(page).get("pipeline_tag") == tag
    again = sparring.pull(tmp_path / "shared", tmp_path / "again")
    weights = again.generator.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in model.generator.state_dict().items())
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    Image.new("RGB", (40, 30), "teal").save("photo.jpg")
    holes = Image.new("L", (40, 30))
    holes.paste(255, (10, 10, 20, 20))
    holes.save("holes.png")
    exec(code.replace("USER/NAME", "shared"), {})


def test_texts_of_several_lines_and_no_pictures_of_the_data(tmp_path: Path) -> None:
    for kind, blueprint in (("text", TEXT), ("denoise", CHANGING["denoise"])):
        (tmp_path / kind / "samples").mkdir(parents=True)
        model_of(blueprint).save(tmp_path / kind / "generator.safetensors")
    (tmp_path / "text/samples/latest.jsonl").write_text('"ab\\nc"\n"床"\n', encoding="utf-8")
    Image.new("RGB", (3, 3)).save(tmp_path / "denoise/samples/latest.png")  # the data's beside what it makes of them
    for kind in ("text", "denoise"):
        sparring.load(tmp_path / kind).push(to_folder=tmp_path / f"{kind} shared")
    assert (tmp_path / "text shared/samples.txt").read_text(encoding="utf-8") == "ab\nc\n\n床\n"
    assert names(tmp_path / "denoise shared") == ["README.md", "generator.safetensors"]


def test_revisions_and_what_a_later_push_takes_away(run: Path, tmp_path: Path, hub: Hub) -> None:
    model = sparring.load(run)
    first = model.push("anna/digits", revision="v1").commit
    repository = hub.repositories["anna/digits"]
    repository.commit("main", {"notes.txt": b"mine", "judge.safetensors": b"old"}, "by hand")
    other = model_of(FROM_NOISE["fast"])
    other.push("anna/digits")
    assert sorted(repository.commits[repository.branches["main"]]) == [
        "README.md",
        "generator.safetensors",
        "notes.txt",
    ]
    assert pull("anna/digits", tmp_path / "v1", revision="v1").commit == first
    assert pull("anna/digits", tmp_path / "same", revision=first).commit == first
    assert torch.equal(sparring.load(tmp_path / "same").sample(2), model.sample(2))
    assert torch.equal(sparring.pull("anna/digits", tmp_path / "now").sample(2), other.sample(2))
    assert "no such revision" in command("pull", "anna/digits", "--out", tmp_path / "v2", "--revision", "v2", status=2)


def test_only_known_names_are_fetched(run: Path, tmp_path: Path, hub: Hub) -> None:
    generator = (run / "generator.safetensors").read_bytes()
    hub.add("eve/run", {"generator.safetensors": generator, "model.py": b"boom", "sub/README.md": b"x", "w.bin": b"x"})
    pull("eve/run", tmp_path / "out")
    assert hub.fetched == ["generator.safetensors"]
    assert names(tmp_path / "out") == ["generator.safetensors"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README.md": b"# hello"}, "eve/run: holds no generator"),
        ({"generator.safetensors": b"not at all"}, "eve/run/generator.safetensors: damaged"),
        ({"judge.safetensors": b"not at all"}, "eve/run/judge.safetensors: damaged"),
        ({"directions.npz": b"not at all"}, "eve/run/directions.npz: holds no directions"),
    ],
)
def test_nothing_is_left_of_what_is_no_generator(
    run: Path, tmp_path: Path, hub: Hub, files: dict[str, bytes], words: str
) -> None:
    whole = {} if "README.md" in files else {"generator.safetensors": (run / "generator.safetensors").read_bytes()}
    hub.add("eve/run", whole | files)
    assert words in command("pull", "eve/run", "--out", tmp_path / "out", status=2)
    assert names(tmp_path) == []


def test_who_may_not_is_told_what_to_do(run: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("anna/secret", {}, private=True)
    hub.add("anna/open", {})
    out = ("--out", tmp_path / "out")
    for token in (None, READER):
        monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
        for name in ("anna/secret", "anna/none"):
            said = command("pull", name, *out, status=2)
            assert "has no such repository" in said
            assert "hf auth login" in said
        assert "hf auth login" in command("push", run, "anna/new", status=2)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    assert "there already, for all to see" in command("push", run, "anna/open", "--private", status=2)
    assert '"license" must be one of' in command("push", run, "anna/open", "--license", "nonsense", status=2)
    assert hub.repositories["anna/open"].messages == ["by hand"]
    assert names(tmp_path) == []


def test_no_network_and_a_hub_out_of_order(
    run: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.broken = True
    assert "refused" in command("push", run, "anna/digits", status=2)
    assert "refused" in command("pull", "anna/digits", "--out", tmp_path / "out", status=2)
    with serving() as gone:
        pass
    monkeypatch.setattr(library.constants, "ENDPOINT", gone.address)
    assert "cannot be reached" in command("push", run, "anna/digits", status=2)
    assert "cannot be reached" in command("pull", "anna/digits", "--out", tmp_path / "out", status=2)
    monkeypatch.setattr(library.constants, "HF_HUB_OFFLINE", True)
    assert "cannot be reached" in command("pull", "anna/digits", "--out", tmp_path / "out", status=2)
    assert names(tmp_path) == []


def test_places_and_options_that_do_not_go_together(run: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    assert "USER/NAME" in command("push", run, status=2)
    assert "USER/NAME" in command("push", run, "anna/digits", "--to-folder", shared, status=2)
    assert "sends nothing" in command("push", run, "--to-folder", shared, "--private", status=2)
    assert "a repository is called USER/NAME" in command("push", run, "digits", status=2)
    assert "there is no such folder" in command("pull", tmp_path / "none", "--out", tmp_path / "out", status=2)
    shared.mkdir()
    command("push", run, "--to-folder", shared)
    assert "not an empty folder" in command("push", run, "--to-folder", shared, status=2)
    assert "not an empty folder" in command("pull", shared, "--out", shared, status=2)
    assert "--revision is for repositories" in command(
        "pull", shared, "--out", tmp_path / "out", "--revision", "main", status=2
    )
    assert names(tmp_path) == ["shared"]
    assert names(shared) == ALL


def test_without_the_package_folders_can_still_be_pulled(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(sparring.load(run), to_folder=tmp_path / "shared")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    pull(tmp_path / "shared", tmp_path / "out")
    assert names(tmp_path / "out") == ALL
    for arguments in (("push", run, "anna/digits"), ("pull", "anna/digits", "--out", tmp_path / "other")):
        assert "pip install 'sparring[hub]'" in command(*arguments, status=2)


def test_a_folder_that_somebody_stands_in_is_filled_and_what_was_pulled_can_be_shared_on(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, here = tmp_path / "shared", tmp_path / "here"
    push(sparring.load(run), to_folder=shared)
    here.mkdir()
    monkeypatch.chdir(here)
    assert set(pull(shared, ".").files) == set(ALL)
    assert names(here) == ALL and not list(tmp_path.glob(".*"))
    assert "samples.png" in push(sparring.load("."), to_folder=tmp_path / "again").files
