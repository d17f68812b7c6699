"""What clients may ask for, field by field; what is not here is refused."""

import re
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from sparring.films import FASTEST, SLOWEST
from sparring.serving.errors import RequestError

JSON = re.compile(r"application/(.+\+)?json")

Fields = TypeVar("Fields", bound=BaseModel)

MOST = 256
"""Samples of one request at most."""

MOST_DRAFTS = 2048
"""Samples that are made for one request at most, those that the discriminator did not choose among them."""

MOST_BEST_OF = 64
"""Samples among which one is chosen at most."""

MOST_CLIPS, MOST_FRAMES = 16, 256
"""Clips of one request at most, and frames of each."""

MOST_TOGETHER, MOST_PIXELS = 1024, 2**22
"""Frames of all clips of a request at most, and their pixels: half a minute on a slow core, most of it for the film.
The same for pictures that the discriminator chooses from, where most of it is its look at them."""

MOST_PARTS = 16
"""Latents that are mixed into one at most."""

USUAL_STEPS, MOST_STEPS = 150, 300
"""Of a search for a latent."""

Seed = Annotated[int, Field(ge=0, lt=2**63, description="Sample i depends on the seed and i alone.")]


class Strict(BaseModel):
    """Refuses unknown fields and numbers that are none."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


Label = Annotated[int | str | None, Field(description="Class, by name or number.")]

Number = Annotated[float, Field(ge=-1e4, le=1e4)]

# One wrong number tells enough: a sentence for each of the 200,000 that a body has room for takes seconds, in which
# nobody else is answered.
Numbers = Annotated[list[Number], Field(min_length=1, max_length=4096, fail_fast=True)]


class Part(Strict):
    """One latent of a mixture and its share: that of sample `index` of `seed`, or `z`, as `/v1/invert` finds it.

    Of a seed it has the class of that sample, unless `label` says another.
    """

    seed: Seed | None = None
    z: Annotated[Numbers | None, Field(description="The latent itself, all its numbers.")] = None
    label: Label = None
    index: Annotated[int, Field(ge=0, lt=2**31 * MOST_BEST_OF)] = 0
    weight: Annotated[float, Field(ge=0, le=1e6)] = 1.0

    @model_validator(mode="after")
    def meant(self) -> Self:
        """Raises: ValueError for a part that is both or neither."""
        if (self.seed is None) == (self.z is None):
            raise ValueError("a part is a seed (and an index), or z")
        if self.z is not None and self.index:
            raise ValueError("index goes with seed")
        return self


class First(Strict):
    """What clips begin with, as `/v1/invert` finds it for a picture: the content, the noise of the motion at its first
    anchors, the class, and how many seconds after the beginning of its course a clip looks so."""

    z: Numbers
    noise: Annotated[list[Numbers], Field(min_length=1, max_length=64, fail_fast=True)]
    label: Label = None
    since: Annotated[float, Field(ge=0, le=1e6)] = 0.0


Mixture = Annotated[list[Part], Field(min_length=1, max_length=MOST_PARTS)]


class SampleRequest(Strict):
    """New samples of any kind; what does not go with that of the run is refused, as on the command line."""

    run: Annotated[str | None, Field(max_length=255, description="Its name; may be left out where one is served.")] = (
        None
    )
    n: Annotated[int | None, Field(ge=1, le=MOST, description="How many; 1, or one for each mixture.")] = None
    seed: Seed = 0
    start: Annotated[int, Field(ge=0, lt=2**31, description="The number of the first one.")] = 0
    label: Annotated[int | str | None, Field(description="Class, by name or number; else as often as in the data.")] = (
        None
    )
    truncation: Annotated[float, Field(ge=0, le=2, description="Pictures, clips: below 1 they vary less.")] = 1.0
    edit: Annotated[
        dict[Annotated[str, Field(max_length=255)], Annotated[float, Field(ge=-20, le=20)]],
        Field(
            max_length=32,
            description="Pictures: how far along which of the run's directions, by name or number; 1 is the standard "
            "deviation of samples along any of them.",
        ),
    ] = {}
    temperature: Annotated[float, Field(ge=0, le=5, description="Texts: below 1 safer and duller.")] = 1.0
    top_p: Annotated[
        float, Field(gt=0, le=1, description="Texts: symbols are of the likeliest that have so much together.")
    ] = 1.0
    scaffold: Annotated[str, Field(max_length=1024, description="Molecules: a SMILES that all hold as a part.")] = ""
    format: Annotated[
        Literal["smiles", "svg", "mp4", "gif"] | None,
        Field(
            description="Molecules: as SMILES, or with a drawing each, as SVG. Clips: what a zip or JSON holds; "
            "mp4 where the server has PyAV."
        ),
    ] = None
    prompt: Annotated[str, Field(max_length=4096, description="Texts: what all begin with.")] = ""
    best_of: Annotated[
        int,
        Field(
            ge=1, le=MOST_BEST_OF, description="Not for clips: each is what the discriminator likes most of so many."
        ),
    ] = 1
    mix: Annotated[
        list[Mixture] | None,
        Field(
            min_length=1,
            max_length=MOST,
            description="Pictures: instead of those of a seed one of each mixture of latents, weighed by their shares "
            "and brought to the length that their lengths have in the mean.",
        ),
    ] = None

    frames: Annotated[
        int | None, Field(ge=1, le=MOST_FRAMES, description="Clips: of each; as in training, up to 2 seconds.")
    ] = None
    fps: Annotated[
        float | None, Field(ge=SLOWEST, le=FASTEST, description="Clips: frames a second; as in training if not given.")
    ] = None
    speed: Annotated[float, Field(ge=0.01, le=100, description="Clips: below 1 slow motion.")] = 1.0
    loop: Annotated[bool, Field(description="Clips: the last frame leads to the first again.")] = False
    interpolate: Annotated[bool, Field(description="Clips: the content of each turns into that of the next.")] = False
    same: Annotated[
        Literal["content", "motion"] | None, Field(description="Clips: what all have from clip 0 of the seed.")
    ] = None
    motion_seed: Annotated[
        int | None, Field(ge=0, lt=2**63, description="Clips: motions of another seed than contents.")
    ] = None
    first: Annotated[
        First | None, Field(description="Clips: what all begin with; they go on differently. It has its own class.")
    ] = None

    @model_validator(mode="after")
    def fits(self) -> Self:
        """Raises: ValueError for more than is done at once, or two ways of saying what is wanted."""
        if self.mix is not None and (self.n not in (None, len(self.mix)) or self.seed or self.start):
            raise ValueError("mix says how many and of which seeds: leave n, seed and start away")
        if self.mix is not None and self.best_of > 1:
            raise ValueError("mix says which latents, so that there is nothing to choose from: leave best_of away")
        if self.count * self.best_of > MOST_DRAFTS:
            raise ValueError(f"n times best_of may be {MOST_DRAFTS} at most")
        if self.mix is not None and any(not sum(part.weight for part in mixture) for mixture in self.mix):
            raise ValueError("the weights of each mixture should not all be zero")
        return self

    def wishes(self, *fields: str) -> bool:
        """Whether one of these fields asks for something."""
        given = self.model_fields_set.intersection(fields)
        return any(getattr(self, name) != type(self).model_fields[name].get_default() for name in given)

    @property
    def count(self) -> int:
        """How many samples that makes."""
        return len(self.mix) if self.mix is not None else self.n or 1


class ApplyFields(Strict):
    """What comes beside the uploaded picture and mask."""

    run: Annotated[str | None, Field(max_length=255)] = None
    style: Annotated[str | None, Field(max_length=1024, description="One of the run's styles, or A:0.7+B:0.3.")] = None
    strength: Annotated[float | None, Field(ge=0, le=1, description="0, the picture as it was, to 1.")] = None


class InvertFields(Strict):
    """What comes beside the picture whose latent is looked for."""

    run: Annotated[str | None, Field(max_length=255)] = None
    label: Annotated[str | None, Field(max_length=1024, description="Class, by name or number; else looked for.")] = (
        None
    )
    steps: Annotated[int, Field(ge=0, le=MOST_STEPS, description="Of the search; 0 takes the best start.")] = (
        USUAL_STEPS
    )
    seed: Annotated[Seed, Field(description="Of the noise of the search.")] = 0


def most_frames(shape: tuple[int, int, int]) -> int:
    """Of frames (C, H, W), how many one request may ask for, of all its clips."""
    return min(MOST_TOGETHER, MOST_PIXELS // (shape[1] * shape[2]))


def most_judged(shape: tuple[int, int, int]) -> int:
    """Of pictures (C, H, W), how many the discriminator may choose from for one request."""
    return max(MOST_BEST_OF, most_frames(shape))


def fields_of(body: bytes, content_type: str, kind: type[Fields]) -> Fields:
    """The fields in a body of JSON.

    Raises: RequestError for a body of another kind, or fields that are wrong.
    """
    # Without the type a page of another site could send a body unasked (CORS calls that a simple request).
    if not JSON.fullmatch(content_type.partition(";")[0].strip().lower()):
        raise RequestError("invalid", "send JSON, with Content-Type: application/json")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise RequestError("invalid", in_words(error.errors())) from None


def in_words(errors: object) -> str:
    """What pydantic found wrong, in a line."""
    assert isinstance(errors, list | tuple)
    found = []
    for error in errors[:5]:
        place = ".".join(str(part) for part in error["loc"] if part != "body")
        found.append(f"{place}: {error['msg']}" if place else str(error["msg"]))
    return "; ".join(found)
