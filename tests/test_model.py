import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sparring.data import to_bytes
from sparring.errors import RunError, SettingError
from sparring.model import Model
from sparring.tasks.generate import Blueprint

BLUEPRINTS = {
    "plain": Blueprint("fast", (1, 8, 8), 8, 32, 1),
    "classes": Blueprint("fast", (3, 8, 12), 8, 32, 1, ("cat", "dog", "7"), (0.5, 0.5, 0.0)),
    "r3": Blueprint("r3", (3, 16, 16), 8, 16, 1),
}


@pytest.fixture(params=BLUEPRINTS)
def model(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(0)
    blueprint = BLUEPRINTS[request.param]
    return Model(blueprint.generator(), blueprint)


def test_sample_i_depends_on_the_seed_and_i_alone(model: Model) -> None:
    many = model.sample(70, seed=5)
    assert many.dtype == torch.uint8
    assert many.shape == (70, *model.blueprint.shape)
    assert torch.equal(model.sample(16, seed=5), many[:16])
    assert torch.equal(model.sample(3, seed=5, start=31), many[31:34])
    assert not torch.equal(model.sample(16, seed=6), many[:16])


def test_a_saved_model_gives_the_same_pictures(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "mine.safetensors")
    assert torch.equal(Model.load(tmp_path / "mine.safetensors").sample(5), model.sample(5))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_no_truncation_left_gives_one_picture(model: Model) -> None:
    if not model.classes:
        assert (model.sample(4, truncation=0.0) == model.sample(1, truncation=0.0)).all()


def test_classes_by_name_and_number() -> None:
    blueprint = BLUEPRINTS["classes"]
    model = Model(blueprint.generator(), blueprint)
    assert torch.equal(model.sample(4, label="dog"), model.sample(4, label=1))
    # A name wins over a number: class "7" is the third.
    assert blueprint.class_number("7") == 2
    with pytest.raises(SettingError, match="cat, dog, 7"):
        model.sample(1, label="bird")
    with pytest.raises(SettingError, match="knows no classes"):
        BLUEPRINTS["plain"].class_number(0)


def test_classes_come_as_often_as_in_the_data() -> None:
    labels = torch.cat([BLUEPRINTS["classes"].latents(block, seed=0)[1] for block in range(32)])
    counts = torch.bincount(labels, minlength=3)
    assert counts[2] == 0
    assert abs(int(counts[0]) - 512) < 60


def test_latents_are_standard_normal_and_all_different() -> None:
    z = torch.cat([BLUEPRINTS["plain"].latents(block, seed=1)[0] for block in range(64)])
    assert abs(z.mean()) < 0.03
    assert abs(z.std() - 1) < 0.03
    assert len(z.unique(dim=0)) == len(z)


def test_bytes_of_float_pictures() -> None:
    assert to_bytes(torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0])).tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(("arguments", "words"), [({"n": 0}, "n=0"), ({"n": 1, "truncation": 9.0}, "truncation=9")])
def test_numbers_out_of_range(arguments: dict[str, float], words: str) -> None:
    blueprint = BLUEPRINTS["plain"]
    with pytest.raises(SettingError, match=words):
        Model(blueprint.generator(), blueprint).sample(**arguments)  # type: ignore[arg-type]


def test_what_is_no_generator_is_said(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run there"):
        Model.load(tmp_path)
    (tmp_path / "generator.safetensors").write_bytes(b"junk")
    with pytest.raises(RunError, match="damaged"):
        Model.load(tmp_path)


def test_the_same_generator_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    code = (
        "import sys, torch; from sparring.model import Model; from tests.test_model import BLUEPRINTS\n"
        "torch.manual_seed(0); blueprint = BLUEPRINTS['classes']\n"
        "Model(blueprint.generator(), blueprint).save(sys.argv[1])"
    )
    files = [tmp_path / f"{number}.safetensors" for number in range(4)]
    for file in files:
        subprocess.run([sys.executable, "-c", code, str(file)], check=True, cwd=Path(__file__).parent.parent)
    assert len({file.read_bytes() for file in files}) == 1
