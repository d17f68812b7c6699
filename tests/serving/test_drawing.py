import pytest
import torch
from torch import Tensor, nn

from sparring.errors import RunError
from sparring.model import Model
from sparring.serving import drawing
from sparring.serving.batching import AROUND, LONG, QUEUE, Line, Loaded, Remembered
from sparring.serving.drawing import ROUNDS, Painter, Recipe
from sparring.serving.errors import RequestError
from sparring.serving.requests import SampleRequest
from sparring.tasks.generate import FORWARD, Blueprint

CLASSES = Blueprint("fast", (3, 16, 16), 8, 32, 1, ("cat", "dog"), (0.75, 0.25))
PLAIN = Blueprint("r3", (1, 8, 8), 8, 16, 1)


def model_of(blueprint: Blueprint) -> Model:
    torch.manual_seed(0)
    return Model(blueprint.generator(), blueprint)


class RowsDiffer(nn.Module):
    """A generator whose kernels are not the same for all rows, and see the neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 64))

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        rows = torch.linspace(0.5, 1, len(z))[:, None]
        return ((z @ self.weight) * rows + 0.1 * z.mean()).view(-1, 1, 8, 8).tanh()


@pytest.mark.parametrize("blueprint", [CLASSES, PLAIN])
def test_pictures_have_the_bytes_that_the_model_gives_in_whatever_company(blueprint: Blueprint) -> None:
    model = model_of(blueprint)
    painter = Painter(model)
    assert FORWARD in painter.sizes
    label = "dog" if blueprint.classes else None
    asked = [
        SampleRequest(n=3, seed=1),
        SampleRequest(n=1, seed=2, start=31, truncation=0.7),
        SampleRequest(n=40, seed=3, label=label),
        SampleRequest(n=2, seed=1, start=2),
    ]
    recipes = [recipe for one in asked for recipe in painter.recipes(one)]
    together = torch.stack(painter(recipes))
    alone = [model.sample(one.count, one.seed, one.label, one.truncation, one.start) for one in asked]
    assert torch.equal(together, torch.cat(alone))
    each = [painter([recipe])[0] for recipe in recipes]
    assert torch.equal(torch.stack(each), together)


def test_where_rows_are_not_alike_each_picture_stays_at_its_place() -> None:
    torch.manual_seed(0)
    model = Model(RowsDiffer(), PLAIN)
    painter = Painter(model)
    assert painter.sizes == ()
    made = painter(
        [*painter.recipes(SampleRequest(n=2, seed=5, start=40)), *painter.recipes(SampleRequest(n=1, seed=6))]
    )
    assert torch.equal(torch.stack(made[:2]), model.sample(2, 5, start=40))
    assert torch.equal(made[2], model.sample(1, 6)[0])


def test_mixtures_keep_the_length_and_begin_and_end_at_what_is_mixed() -> None:
    model = model_of(CLASSES)
    painter = Painter(model)
    a, b = (painter.ingredients(Recipe(((seed, 0, 1.0),), None, 1.0)) for seed in (1, 2))
    z, y = painter.ingredients(Recipe(((1, 0, 0.25), (2, 0, 0.75)), None, 1.0))
    assert z.norm() == pytest.approx(float(0.25 * a[0].norm() + 0.75 * b[0].norm()), rel=1e-5)
    assert torch.allclose(y, 0.25 * a[1] + 0.75 * b[1])
    faint, _ = painter.ingredients(Recipe(((1, 0, 1e-50), (2, 0, 3e-50)), None, 1.0))
    assert torch.allclose(faint, z)
    # In the plane of both, as on the sphere.
    assert torch.linalg.matrix_rank(torch.stack([a[0], b[0], z]), tol=1e-4) == 2
    mix = [[{"seed": 1, "weight": 3}], [{"seed": 1, "weight": 0}, {"seed": 2}]]
    recipes = painter.recipes(SampleRequest.model_validate({"mix": mix}))
    made = painter(recipes)
    assert torch.equal(made[0], model.sample(1, 1)[0])
    assert torch.equal(made[1], model.sample(1, 2)[0])


def test_a_line_joins_what_waits_and_remembers_what_it_made() -> None:
    model = model_of(PLAIN)
    sizes: list[int] = []
    line = Line("plain", lambda: Loaded(model, "digest", Painter(model)), sizes.append)
    with line.changed:  # its thread can take nothing meanwhile
        waiting = [line.draw(SampleRequest(n=2, seed=number % 8)) for number in range(64)]
    for number, answer in enumerate(waiting):
        assert torch.equal(torch.stack(answer.result().value), model.sample(2, number % 8))
    assert sum(sizes) == 16  # each of 8 seeds and 2 indices was made once
    assert len(sizes) < 8
    line.close()
    with pytest.raises(RequestError, match="stopping"):
        line.draw(SampleRequest())


def test_a_line_is_bounded_and_does_what_it_took_before_it_ends() -> None:
    model = model_of(PLAIN)
    line = Line("plain", lambda: Loaded(model, "digest", Painter(model)))
    with line.changed:  # its thread can take nothing meanwhile
        taken = [line.call(lambda _, n=number: n) for number in range(QUEUE // LONG)]
        with pytest.raises(RequestError) as refused:
            line.draw(SampleRequest(n=1))
    assert refused.value.status_code == 429
    assert refused.value.headers == {"Retry-After": "1"}
    line.close()
    assert [answer.result().value for answer in taken] == list(range(QUEUE // LONG))


def test_who_went_away_does_not_disturb_the_others() -> None:
    model = model_of(PLAIN)
    line = Line("plain", lambda: Loaded(model, "digest", Painter(model)))
    with line.changed:
        gone, other = line.draw(SampleRequest(seed=1)), line.draw(SampleRequest(seed=2))
        assert gone.cancel()
    assert torch.equal(other.result().value[0], model.sample(1, 2)[0])
    line.close()


def test_what_goes_wrong_reaches_who_asked_and_the_line_goes_on() -> None:
    def load() -> Loaded:
        raise RunError("damaged")

    line = Line("none", load)
    with pytest.raises(RunError, match="damaged"):
        line.draw(SampleRequest()).result()
    with pytest.raises(RunError, match="damaged"):
        line.call(lambda model: model).result()
    line.close()


def test_pictures_are_remembered_up_to_a_size_and_of_one_model() -> None:
    remembered = Remembered(limit=3 * (64 + AROUND))
    recipes = [Recipe(((0, index, 1.0),), None, 1.0) for index in range(5)]
    pictures = {recipe: torch.zeros(1, 8, 8, dtype=torch.uint8) for recipe in recipes}
    remembered.of("a")
    remembered.keep(pictures)
    assert list(remembered.of("a")) == recipes[-3:]
    assert not remembered.of("b")


def test_in_half_precision_pictures_are_almost_the_same_and_alike_in_company() -> None:
    model = model_of(PLAIN)
    exact, painter = Painter(model), Painter(model, precision="bf16")
    recipes = exact.recipes(SampleRequest(n=7, seed=1))
    wanted, made = torch.stack(exact(recipes)), torch.stack(painter(recipes))
    assert not torch.equal(made, wanted)
    assert (made.int() - wanted.int()).abs().max() <= 2
    assert torch.equal(torch.stack([painter([recipe])[0] for recipe in recipes]), made)


class Slow(nn.Module):
    """A generator that takes its time, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.calls = 0

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        self.calls += 1
        return (z.sum(1) * self.weight).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)


@pytest.mark.parametrize(("seconds", "rounds"), [(60.0, ROUNDS), (0.0, 1)])
def test_a_slow_generator_is_timed_but_once(monkeypatch: pytest.MonkeyPatch, seconds: float, rounds: int) -> None:
    generator = Slow()
    painter = Painter(Model(generator, PLAIN))
    monkeypatch.setattr(drawing, "LONG", seconds)
    generator.calls = 0
    painter.quickest()
    assert generator.calls == rounds * len(painter.sizes)


class OwnUse(nn.Module):
    """A generator that uses the weights of a layer in float32 as well."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 64)

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        made = self.layer(z).float()
        with torch.autocast(z.device.type, enabled=False):
            return (made + nn.functional.linear(z, self.layer.weight)).view(-1, 1, 8, 8).tanh()


@pytest.mark.parametrize("own", [False, True])
def test_weights_in_half_precision_are_kept_where_they_change_nothing(own: bool) -> None:
    model = Model(OwnUse(), PLAIN) if own else model_of(CLASSES)
    before = {name: weight.dtype for name, weight in model.generator.state_dict().items()}
    painter = Painter(model, precision="bf16")
    assert {name: weight.dtype for name, weight in model.generator.state_dict().items()} == before
    kept = [weight.dtype for weight in painter.generator.state_dict().values()]
    assert (torch.bfloat16 in kept) != own
    recipes = painter.recipes(SampleRequest(n=5, seed=1))
    made = painter(recipes)
    painter.generator = model.generator
    assert torch.equal(torch.stack(made), torch.stack(painter(recipes)))
