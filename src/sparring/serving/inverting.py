"""The latent that makes a picture most like one that was sent: what is done in a job, and what comes of it."""

import base64
from collections.abc import Callable

from pydantic import BaseModel
from torch import Tensor

from sparring.latents import inversion
from sparring.latents.beginnings import beginning_with
from sparring.latents.likeness import Likeness, space_for
from sparring.latents.pictures import form_for
from sparring.model import Model
from sparring.serving import uploads
from sparring.serving.answers import PNG, picture_file
from sparring.serving.errors import RequestError
from sparring.serving.jobs import JobState, Tell
from sparring.serving.models import Served
from sparring.serving.requests import InvertFields
from sparring.tasks import generate, video

NAME = "picture"


class Found(BaseModel):
    """A latent, `z` and the number of its class, with which `/v1/sample` makes `picture` (PNG in base64) again.

    noise, since: of a generator of clips, with which `z` and the class are `first` of clips that begin with `picture`.
    given: what was sent, in the form of the generator's pictures. psnr: of `picture` beside it, in decibels.
    perceptual: distance of the two; none where pictures are compared by pixels alone, and of clips.
    """

    z: list[float]
    noise: list[list[float]] | None = None
    since: float | None = None
    label: int | None
    picture: str
    given: str
    type: str
    psnr: float
    perceptual: float | None
    model: str


class InvertJob(JobState):
    """A search for a latent."""

    result: Found | None = None


def searching(served: Served, upload: uploads.Upload[InvertFields]) -> Callable[[Tell], Found]:
    """The search for the latent of a picture, which is decoded here.

    Raises: RequestError for a picture that cannot be used, or a generator without latents; SettingError for a class
    that is not known.
    """
    served.check_ready()
    blueprint = served.blueprint()
    if not isinstance(blueprint, generate.Blueprint | video.Blueprint):
        raise RequestError(
            "not_ready", f"{served.name} makes no pictures or clips of noise, so that there is no latent to find"
        )
    fields = upload.fields
    label = None if fields.label is None else blueprint.class_number(fields.label)
    picture = uploads.formed(upload.picture, form_for(blueprint, served.place))

    def search(tell: Tell) -> Found:
        loaded, _ = served.read()
        look = begun if isinstance(loaded.model.blueprint, video.Blueprint) else found
        return look(loaded.model, loaded.digest, picture, label, fields.steps, fields.seed, served.device, tell)

    return search


def found(
    model: Model, digest: str, picture: Tensor, label: int | None, steps: int, seed: int, device: str, tell: Tell
) -> Found:
    """What `sparring latents invert` finds for a picture uint8 (C, H, W)."""
    likeness = Likeness(space_for(model.from_noise.shape, None), device)
    made = inversion.invert(model, picture[None], [NAME], likeness, label=label, steps=steps, seed=seed, progress=tell)
    classes, perceptual = made.points.classes, made.errors.perceptual
    return Found(
        z=made.points.z[0].tolist(),
        label=None if classes is None else int(classes[0].argmax()),
        picture=base64.b64encode(picture_file(made.pictures[0])).decode(),
        given=base64.b64encode(picture_file(picture)).decode(),
        type=PNG,
        psnr=made.errors.psnr[0],
        perceptual=None if perceptual is None else perceptual[0],
        model=digest,
    )


def begun(
    model: Model, digest: str, picture: Tensor, label: int | None, steps: int, seed: int, _: str, tell: Tell
) -> Found:
    """What `Model.beginning` finds for a picture uint8 (C, H, W), and the first frame that comes of it."""
    made = beginning_with(model, picture, label, seed, steps=steps, progress=tell)
    first = next(next(model.films(1, 0, model.take(frames=1, first=made))))[0]
    return Found(
        z=made.z.tolist(),
        noise=made.noise.tolist(),
        since=made.since,
        label=None if made.y is None else int(made.y.argmax()),
        picture=base64.b64encode(picture_file(first)).decode(),
        given=base64.b64encode(picture_file(picture)).decode(),
        type=PNG,
        psnr=made.psnr,
        perceptual=None,
        model=digest,
    )
