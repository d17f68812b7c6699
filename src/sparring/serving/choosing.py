"""Pictures that the discriminator of a run chooses: what one request may ask for, and what is told of them.

They are made in the thread of the model, one request after another, by what `sparring sample --best-of` makes them
with: the candidates fill batches already.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from sparring.serving.batching import Loaded
from sparring.serving.drawing import Recipe
from sparring.serving.errors import RequestError
from sparring.serving.requests import Part, SampleRequest, most_judged
from sparring.tasks import generate


@dataclass(frozen=True)
class Choice:
    """Pictures uint8 (C, H, W), and for each the part of a mixture that makes it again."""

    pictures: Sequence[Tensor]
    parts: Sequence[Part]

    def told(self) -> dict[str, object]:
        """What JSON says beside the pictures."""
        return {"parts": [part.model_dump(exclude_none=True, exclude={"weight"}) for part in self.parts]}


def refuse_too_many(blueprint: generate.Blueprint, asked: SampleRequest) -> None:
    """Raises: RequestError for more than are judged for one request."""
    most = most_judged(blueprint.shape)
    if asked.count * asked.best_of > most:
        _, height, width = blueprint.shape
        raise RequestError(
            "invalid",
            f"n={asked.count}, best_of={asked.best_of}: {asked.count * asked.best_of:,} pictures of {height}x{width} "
            f"pixels to choose from, and {most:,} is the most at once: ask for fewer",
        )


def chosen(loaded: Loaded, asked: SampleRequest) -> Choice:
    """The pictures of a request. Called in the thread of the model.

    Directions come after the choice: a picture stays the same one while it is moved along them.

    Raises: RunError if there is no discriminator, or nothing is made of noise; SettingError for an unknown class or
    direction, or as `generate.Blueprint.judge`.
    """
    model, painter, blueprint = loaded.model, loaded.painter, loaded.model.from_noise
    model.check_choice(asked.temperature, asked.top_p, asked.best_of)
    judge = model.judge
    assert painter is not None and judge is not None, "refused above"
    label = None if asked.label is None else blueprint.class_number(asked.label)
    edits = painter.edits(asked)
    found = generate.chosen(
        model.generator, judge, blueprint, asked.count, asked.seed, asked.best_of, label, asked.truncation, asked.start
    )
    labels = found.labels.tolist() if blueprint.classes else [None] * asked.count
    which = list(zip(found.numbers.tolist(), labels, strict=True))
    pictures: Sequence[Tensor] = found.pictures.unbind()
    if edits:
        pictures = painter([Recipe(((asked.seed, at, 1.0),), of, asked.truncation, edits) for at, of in which])
    return Choice(pictures, [Part(seed=asked.seed, index=at, label=of) for at, of in which])
