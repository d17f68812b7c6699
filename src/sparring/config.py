"""Every setting of a run: its type, range, unit and meaning; read from and written to TOML.

People give some settings; the preset gives some; the chooser gives the rest. `Settings` is the complete result, and
what `config.toml` holds. Nothing in the engine has a default of its own.
"""

import difflib
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

import tomlkit
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from sparring.errors import SettingError

if TYPE_CHECKING:
    from sparring.data.decode import Form


Value = TypeVar("Value")


def parse_resolution(value: Any) -> Any:
    """`64`, `"64"`, `"64x96"` (height x width) and `[64, 96]` as (height, width)."""
    if value in (None, "none"):
        return None
    if isinstance(value, str) and value.lower().count("x") == 1:
        value = value.lower().split("x")
    if isinstance(value, str | int):
        value = (value, value)
    try:
        return tuple(int(side) for side in value)
    except (TypeError, ValueError):
        raise ValueError("a side as in 64, or height x width as in 64x64 or 64x96") from None


def parse_none(value: Any) -> Any:
    """The word `none`, as the command line gives it, as None."""
    return None if value in ("none", "None") else value


def parse_count(value: Any) -> Any:
    """`1e5` and `100_000` in text as whole numbers."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else value
    return value


def parse_whole(value: Any) -> Any:
    """A number in text as an int, where a choice among numbers is asked for."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


NETWORKS = ("r3", "dcgan", "fast", "skip", "unet", "transformer", "graph")
"""Families that come along."""

OWN_NETWORKS: set[str] = set()
"""Those that a program has registered, see `networks.register`."""


def known_network(name: str) -> str:
    """The name of a family as it is. Raises: ValueError for one that is not known."""
    known = [*NETWORKS, *sorted(OWN_NETWORKS)]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "one of your own is registered first: sparring.networks.register"
        raise ValueError(f"one of {', '.join(known)}; {hint}")
    return name


Side = Annotated[int, Field(ge=4, le=1024)]
Count = Annotated[int, Field(ge=1), BeforeValidator(parse_count)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
MaybeResolution = Annotated[tuple[Side, Side] | None, BeforeValidator(parse_resolution)]
MaybeSide = Annotated[int | None, Field(ge=4, le=1024), BeforeValidator(parse_none)]
MaybeChannels = Annotated[Literal[1, 3, 4, None], BeforeValidator(parse_whole)]
MaybeCount = Annotated[Count | None, BeforeValidator(parse_none)]
MaybeNotNegative = Annotated[NotNegative | None, BeforeValidator(parse_none)]
MaybePositive = Annotated[Positive | None, BeforeValidator(parse_none)]
Device = Annotated[str, Field(pattern=r"^(cpu|mps|cuda(:\d+)?)$")]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
MaybeBelowOne = Annotated[float | None, Field(ge=0, lt=1), BeforeValidator(parse_none)]


def setting(group: str, meaning: str) -> Any:
    """A field of Settings: the group it is shown in, and what it means."""
    return Field(description=meaning, json_schema_extra={"group": group})


def about(group: str, meaning: str) -> Any:
    """A field of Settings that only the runs of some tasks have, those of `TASKS_OF`; None in all others."""
    return Field(default=None, description=f"{group}: {meaning}", json_schema_extra={"group": group})


class Settings(BaseModel):
    """The complete settings of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str = setting("data", "folder, archive or array of pictures, or the name of an embedded set")
    resolution: MaybeResolution = about("pictures", "height and width in pixels")
    fit: Literal["crop", "pad", "stretch", "patches", None] = about(
        "pictures", "how one of another shape is brought to it; patches: random parts of pictures as they are"
    )
    longest: MaybeCount = about(
        "pictures", "patches: pixels that the longer side of a picture is reduced to, if longer"
    )
    zoom: Annotated[float | None, Field(ge=1, le=32), BeforeValidator(parse_none)] = about(
        "pictures", "patches: one covers up to so many times its own side, and is reduced then"
    )
    channels: MaybeChannels = about("pictures", "1 grey, 3 colour, 4 colour with transparency")
    held_out: Annotated[int, Field(ge=0), BeforeValidator(parse_count)] = setting(
        "data", "samples that are never shown, by which the guard sees what the discriminator knows by heart"
    )
    labels: bool = setting("data", "learn the classes (one sub-folder each), so that samples of one can be asked for")
    shuffle_buffer: MaybeCount = setting(
        "data", "shards: pictures that are mixed while they stream, twice as many in memory; none: all are held"
    )
    mirror: bool = setting("data", "show every picture mirrored left to right half of the time")

    task: Literal["generate", "restore", "translate", "text", "molecules", "video"] = setting(
        "players", "the application"
    )
    network: Annotated[str, AfterValidator(known_network)] = setting(
        "players",
        "family of the generator, and of a discriminator that learns to see; unet makes pictures of pictures, "
        "transformer sequences, graph molecules as graphs; or one of your own",
    )
    z_dim: MaybeCount = setting("players", "random numbers that a picture is made from; none where it is not")
    width: Count = setting("players", "channels, or units of a layer, at the network's narrowest stage")
    depth: Count = setting("players", "residual blocks, or gated convolutions, at each resolution; layers")
    discriminator_features: str = setting(
        "players",
        "pretrained network that the discriminator looks through: a name of `sparring evaluate --features`, "
        "NAME=FILE, or a TorchScript file; none: it learns to see by itself",
    )
    discriminator_size: MaybeSide = about("pictures", "pixels that the longer side is brought to for that network")
    spectral_norm: bool = setting("players", "divide each layer of the discriminator by its largest singular value")

    damage: Literal["inpaint", "denoise", "super", "mixed", None] = about(
        "restore", "what is done to pictures, to be made good: holes, noise, low resolution, or a bit of everything"
    )
    holes: Literal["all", "thick", "boxes", "irregular", "outpainting", None] = about("restore", "inpaint: their kind")
    noise: Literal["gaussian", "poisson", "jpeg", "salt-and-pepper", "all", None] = about(
        "restore", "denoise: its kind"
    )
    noise_low: MaybeNotNegative = about("restore", "denoise: least standard deviation of Gaussian noise, of 255")
    noise_high: MaybeNotNegative = about("restore", "denoise: largest")
    scale: Annotated[Literal[2, 4, None], BeforeValidator(parse_whole)] = about("restore", "super: times as large")
    degradation: Literal["bicubic", "realistic", None] = about("restore", "super: how pictures are made small")
    severity: Annotated[float | None, Field(gt=0, le=1), BeforeValidator(parse_none)] = about(
        "restore", "super by realistic degradation, mixed: how bad pictures are; 1 has the ranges of Real-ESRGAN"
    )
    turn: Annotated[bool | None, BeforeValidator(parse_none)] = about(
        "restore", "show pictures upside down and turned by a quarter as well, all as often"
    )
    adversarial: bool = setting(
        "game", "play the game; false, in restore: learn from the distortion alone, without a game"
    )
    supervised: Annotated[float, Field(ge=0, le=1)] = setting(
        "game", "share of the budget before the game, in which the generator learns from its further losses alone"
    )
    distortion_weight: MaybeNotNegative = about("restore", "of the mean absolute error, against 1 of the game")
    matching_weight: MaybeNotNegative = about(
        "restore", "of the mean absolute difference in the discriminator's layers, against 1 of the game"
    )
    perceptual_weight: MaybeNotNegative = about(
        "restore", "of the distance in pretrained features, against 1 of the game"
    )

    data_b: Annotated[str | None, BeforeValidator(parse_none)] = about(
        "translate", "folder or archive of the paintings, or whatever photographs are to become; a sub-folder a style"
    )
    paired: Annotated[bool | None, BeforeValidator(parse_none)] = about(
        "translate", "pictures of the same name in both sets show the same, before and after"
    )
    content: Literal["contrastive", "features", "cycle", None] = about(
        "translate",
        "what keeps the scene without pairs: contrast between places, distance in pretrained features, or the way back",
    )
    content_weight: MaybeNotNegative = about(
        "translate", "of what keeps the scene, with pairs of the mean absolute error, against 1 of the game"
    )
    identity_weight: MaybeNotNegative = about(
        "translate", "of the mean absolute error of paintings that go through the generator, against 1 of the game"
    )

    tokens: Literal["characters", "bpe", None] = about("text", "what a text is cut into; bpe: frequent pieces of it")
    vocabulary_size: MaybeCount = about("text", "different symbols at most; rarer ones are unknown, or cut up")
    length: MaybeCount = about("sequences", "symbols of a sequence at most; longer ones are not used, or cut")
    gradient: Literal["policy", "straight-through", None] = about(
        "sequences", "how the gradient of the game comes through the choice of symbols: rewards, or Gumbel-softmax"
    )
    discount: MaybeBelowOne = about("sequences", "policy: weight of the next symbol's reward against this one's")
    gumbel_temperature: MaybePositive = about("sequences", "straight-through: of the softmax")
    likelihood_weight: MaybeNotNegative = about(
        "sequences", "of the likelihood of real sequences in the game, against 1 of the game"
    )
    supervised_optimiser: Literal["muon", "adam", None] = about(
        "lessons",
        "of the generator before the game; muon: for the weights of dense layers and convolutions, and Adam for others",
    )
    supervised_learning_rate: MaybePositive = about(
        "lessons", "of that optimiser, which has a schedule of its own; there at the start"
    )
    supervised_metric: Annotated[Literal["perplexity", None], BeforeValidator(parse_none)] = about(
        "sequences", "what decides before the game which generator is the best; the game begins when it gets worse"
    )
    head_start: MaybeBelowOne = about(
        "sequences", "share of the budget in which the discriminator learns alone, when the game begins"
    )
    symbol_dropout: MaybeBelowOne = about("sequences", "share of symbols that the generator does not see in real ones")
    judge_learning_rate: MaybePositive = about(
        "sequences", "of Adam for the discriminator, there at the start; it falls as that of the generator does"
    )
    judge_width: MaybeCount = about("sequences", "width of the discriminator")
    judge_depth: MaybeCount = about("sequences", "layers of the discriminator")

    representation: Literal["selfies", "graph", None] = about(
        "molecules",
        "what a molecule is: a sequence of SELFIES symbols, or a graph that is drawn at once, if it is small",
    )
    atoms: Annotated[int | None, Field(ge=2, le=40), BeforeValidator(parse_none)] = about(
        "molecules", "graph: atoms of a molecule at most, without hydrogen; larger ones are not used"
    )
    optimise: Annotated[str | None, BeforeValidator(parse_none)] = about(
        "molecules", "what is asked for besides likeness: qed, logp, sa, or FILE.py:function, from 0 to 1"
    )
    reward_weight: MaybeNotNegative = about(
        "molecules",
        "of that, in standard deviations of training molecules, against 1 of the discriminator's judgement",
    )

    seen: Annotated[int | None, Field(ge=2, le=8), BeforeValidator(parse_none)] = about(
        "video", "frames of a clip that the discriminator judges at once, with the time between them"
    )
    window: MaybePositive = about("video", "seconds within which these frames lie")
    motion_dim: MaybeCount = about("video", "random numbers that motion is made from, at each anchor")
    spacing: MaybePositive = about("video", "seconds from anchor to anchor: how long a movement lasts, about")
    course: MaybePositive = about(
        "video", "seconds from where clips begin to where they end; none: any moment is alike"
    )
    layers: MaybeCount = about("video", "things before the ground, each of which moves by itself")

    objective: Literal[
        "relativistic", "relativistic-all", "non-saturating", "minimax", "least-squares", "wasserstein", "hinge"
    ] = setting("game", "what the players minimise")
    penalty: Literal["r1+r2", "r1", "r2", "wgan-gp", "none"] = setting("game", "what keeps the discriminator smooth")
    penalty_method: Literal["exact", "finite-difference"] = setting("game", "how the slope of R1 and R2 is measured")
    penalty_step: Positive = setting("game", "step of the finite difference, in units of the range [-1, 1]")
    penalty_interval: Count = setting("game", "the penalty acts every so many steps, that many times as strong")
    penalty_stride: Count = setting("game", "it looks at one of so many pairs, that many times as strong")
    penalty_strength: NotNegative = setting("game", "gamma at the start; half of it multiplies the penalty")
    penalty_strength_final: NotNegative = setting("game", "gamma at the end of the budget")
    partner_stride: Count = setting(
        "game", "the discriminator learns from all real and one of so many generated samples, the generator likewise"
    )
    augment: Literal["none", "ada", "diffaugment"] = setting("game", "augmentation of what the discriminator sees")
    augment_target: BelowOne = setting("game", "ADA: mean sign of the discriminator above which augmentation grows")
    augment_images: Count = setting("game", "ADA: images in which the probability can go from 0 to 1")

    batch: Count = setting("optimiser", "images in one update")
    micro_batch: Count = setting(
        "optimiser",
        "images that go through the networks at once; the result is the same, but for what compares all of a batch",
    )
    learning_rate: Rate = setting("optimiser", "of Adam at the start, for both players")
    learning_rate_final: Rate = setting("optimiser", "at the end of the budget")
    beta1: BelowOne = setting("optimiser", "Adam's momentum")
    beta2: BelowOne = setting("optimiser", "Adam's memory of squared gradients at the start")
    beta2_final: BelowOne = setting("optimiser", "at the end of the budget")
    ema_half_life: Positive = setting("optimiser", "images in which the averaged generator forgets half of its past")
    ema_ramp: Positive = setting("optimiser", "the half-life is at most this share of the images shown")

    images: MaybeCount = setting("budget", "images to show the discriminator, repeats counted; none: by the clock")
    minutes: MaybePositive = setting("budget", "minutes to train; the schedules follow the time then")
    patience: MaybeCount = setting("budget", "stop when the quality has not improved for so many images; none: never")
    evaluate_every: Count = setting("budget", "images between two evaluations, each of which may become the best")
    checkpoint_every: Count = setting("budget", "images between two checkpoints of which the last two are kept")
    guard: Literal["on", "warn", "off"] = setting(
        "guard", "on: take the run back and change a setting when it goes wrong; warn: only say so"
    )
    guard_every: Count = setting("guard", "images between two looks at how the game stands")
    quality_samples: Annotated[int, Field(ge=64, le=50_000)] = setting("quality", "samples that an evaluation judges")
    quality_features: str = setting(
        "quality",
        "space that pictures are compared in, or a TorchScript or ONNX file: as `sparring evaluate --features`",
    )
    quality_metric: Literal[
        "fid",
        "kid",
        "precision",
        "recall",
        "density",
        "coverage",
        "prc",
        "psnr",
        "ssim",
        "perceptual",
        "transfer",
        "forward",
        "reverse",
        "perplexity",
        "fcd",
        "fdd",
        "frag",
        "scaf",
        "reward",
        "clip_distance",
        "fvd",
        "frame_fid",
    ] = setting("quality", "what decides which generator is the best, and whether quality still improves")

    seed: Annotated[int, Field(ge=0, lt=2**63)] = setting("machine", "fixes everything random")
    device: Device = setting("machine", "cpu, cuda, cuda:1, mps")
    precision: Literal["bf16", "fp32"] = setting("machine", "of the networks' layers; heads and losses are always fp32")
    threads: Count = setting("machine", "cores that a CPU computes on; another number rounds differently")
    save_seconds: Annotated[float, Field(gt=0, le=30)] = setting("machine", "seconds of training between two saves")
    preview_seconds: Positive = setting("machine", "seconds between two previews on disk")
    tensorboard: bool = setting("machine", "write curves and grids for TensorBoard into RUN/tensorboard")


WANTED = {
    "int_parsing": "a whole number, such as 100000",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_pattern_mismatch": "cpu, cuda, cuda:1 (and so on) or mps",
}
"""What people are told for pydantic's kinds of errors, where its own words are those of programmers."""

GROUPS = (
    *("data", "pictures", "players", "restore", "translate", "lessons", "text", "sequences", "molecules", "video"),
    *("game", "optimiser", "budget", "guard", "quality", "machine"),
)
TASKS_OF = {
    "pictures": ("generate", "restore", "translate", "video"),
    "restore": ("restore",),
    "translate": ("translate",),
    "lessons": ("restore", "text", "molecules"),
    "text": ("text",),
    "sequences": ("text", "molecules"),
    "molecules": ("molecules",),
    "video": ("video",),
}
"""Which tasks have the settings of a group that not all have."""

OF_SETS = ("fid", "kid", "precision", "recall", "density", "coverage", "prc")
OF_PAIRS = ("psnr", "ssim", "perceptual")
OF_TRANSFER = ("transfer",)
OF_TEXTS = ("fid", "kid", "prc", "forward", "reverse", "perplexity")
OF_MOLECULES = ("fcd", "fdd", "frag", "scaf", "reward", "perplexity")
OF_CLIPS = ("clip_distance", "fvd", "frame_fid", "kid", "precision", "recall", "density", "coverage", "prc")
"""Metrics that can decide which generator is the best: of pictures of noise, of pairs, of style and scene, ..."""

OF_GRAPHS = (
    *("likelihood_weight", "supervised_optimiser", "supervised_learning_rate", "head_start"),
    *("judge_learning_rate", "judge_width", "judge_depth"),
)
"""Settings of sequences that molecules as graphs have too."""

SPACES_OF_MOLECULES = ("chemnet", "descriptors")

SPACES_OF_CLIPS = ("lite0-clips", "lite0-clips-bf16", "lite0-clips-128", "i3d")

OPTIONAL = tuple(
    name for name, field in Settings.model_fields.items() if {None, type(None)} & {*get_args(field.annotation)}
)
"""Settings that may be None, which TOML cannot say."""

CHOSEN_NONE = ("course", "patience")
"""Those of them that a person may want to be none where another value would be chosen: a file says `none` of them."""


def form_of(settings: Settings) -> "Form":
    """What every picture of a set is brought to; what is cut into patches for training is cropped elsewhere."""
    from sparring.data.decode import Form  # which brings torch along, and settings are needed before

    assert settings.resolution and settings.channels and settings.fit, "complete settings of pictures have them"
    height, width = settings.resolution
    return Form(height, width, settings.channels, "crop" if settings.fit == "patches" else settings.fit)


def check(name: str, value: Any) -> Any:
    """The value of one setting, converted (`"1e-3"` to a float) and checked.

    Raises: SettingError that names the setting, what it takes and, for an unknown name, the nearest valid one.
    """
    fields = Settings.model_fields
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"the settings are {', '.join(fields)}"
        raise SettingError(f"there is no setting {name!r}: {hint}")
    field = fields[name]
    kind: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        problem = error.errors()[0]
        wanted = WANTED.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        wanted = wanted.removeprefix("Input should be ")
        choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)]
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingError(f"{name}={value}: it should be {wanted}{hint} ({name}: {field.description})") from None


def parse_assignment(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` of the command line as a checked pair.

    Raises: SettingError.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"{text!r}: settings are given as KEY=VALUE, for example --set batch=64")
    name = name.strip().replace("-", "_")
    return name, check(name, value.strip())


def complete(values: Mapping[str, Any]) -> Settings:
    """Settings out of values for every field.

    Raises: SettingError for a wrong or missing one, or for two that do not go together.
    """
    checked: dict[str, Any] = dict.fromkeys(OPTIONAL)
    checked |= {name: check(name, value) for name, value in values.items()}
    missing = [name for name in Settings.model_fields if name not in checked]
    if missing:
        raise SettingError(f"the settings lack {', '.join(missing)}")
    settings = Settings(**checked)
    if (settings.images is None) == (settings.minutes is None):
        raise SettingError("the budget is either images or minutes: give one of the two")
    if settings.task in TASKS_OF["pictures"] and not (
        settings.resolution and settings.channels and settings.fit and settings.discriminator_size
    ):
        raise SettingError(f"task={settings.task} needs resolution, channels, fit and discriminator_size")
    if settings.representation == "graph":
        refuse_incomplete_graphs(settings)
    elif settings.task in TASKS_OF["sequences"]:
        refuse_incomplete_sequences(settings)
    if settings.task == "video":
        refuse_incomplete_video(settings)
    if settings.task == "generate" and (
        settings.z_dim is None or not settings.adversarial or settings.fit == "patches"
    ):
        raise SettingError("task=generate needs z_dim, adversarial=true, and fit=crop, pad or stretch")
    if settings.task == "translate" and (
        settings.data_b is None
        or settings.paired is None
        or settings.fit != "patches"
        or settings.content_weight is None
    ):
        raise SettingError("task=translate needs data_b, paired, content_weight, and fit=patches")
    if settings.task == "translate" and not settings.paired and (settings.content is None or not settings.adversarial):
        raise SettingError("paired=false needs content, and adversarial=true: nothing else says what a painting is")
    if settings.supervised_optimiser == "muon" and settings.adversarial and settings.supervised_learning_rate is None:
        raise SettingError("supervised_optimiser=muon needs supervised_learning_rate, for the game goes on with Adam")
    if settings.fit == "patches" and (settings.longest is None or settings.zoom is None):
        raise SettingError("fit=patches needs longest and zoom")
    if settings.fit == "patches" and settings.shuffle_buffer is not None:
        raise SettingError(
            "fit=patches needs all pictures at hand: shuffle_buffer=none, or fit=crop to let them stream"
        )
    if settings.penalty == "wgan-gp" and settings.penalty_method != "exact":
        raise SettingError("penalty=wgan-gp needs penalty_method=exact: a random direction gives no norm of the slope")
    if settings.penalty_stride > 1 and (settings.penalty == "wgan-gp" or settings.penalty_method != "exact"):
        raise SettingError(
            f"penalty_stride={settings.penalty_stride}: it is for penalty=r1, r2 or r1+r2 and penalty_method=exact, "
            "which take the slope where D has judged anyway"
        )
    if settings.penalty_stride > settings.batch:
        raise SettingError(
            f"penalty_stride={settings.penalty_stride}: a batch has {settings.batch} pairs, and the penalty looks at "
            "one of them at least"
        )
    refuse_all_pairs(settings)
    refuse_partners(settings)
    refuse_other_tasks(settings)
    return settings


def refuse_all_pairs(settings: Settings) -> None:
    """Raises: SettingError if every real sample is to meet every generated one where pairs belong together."""
    if settings.objective == "relativistic-all" and (settings.task != "generate" or settings.labels):
        what = "labels=true" if settings.labels else f"task={settings.task}"
        raise SettingError(
            "objective=relativistic-all compares every real with every generated sample, but with "
            f"{what} a pair has something in common: take objective=relativistic"
        )


def refuse_partners(settings: Settings) -> None:
    """Raises: SettingError if a player is to learn from fewer samples of the other side where it cannot."""
    stride = settings.partner_stride
    if stride == 1:
        return
    if settings.task != "generate" or settings.objective == "relativistic":
        taken = f"task={settings.task}" if settings.task != "generate" else "objective=relativistic"
        raise SettingError(
            f"partner_stride={stride}: with {taken} each real sample has one generated partner; fewer partners are for "
            f"pictures from noise with --set objective=relativistic-all --set penalty_stride={stride}, for example"
        )
    if settings.penalty == "wgan-gp":
        raise SettingError(f"partner_stride={stride}: it is for penalty=r1+r2, r1, r2 or none")
    if settings.penalty_stride % stride:  # without a penalty too, for the guard may bring one
        raise SettingError(
            f"partner_stride={stride}: it should divide penalty_stride={settings.penalty_stride}, for a penalty looks "
            f"at pairs that the discriminator has judged: add --set penalty_stride={stride}, or a multiple of it"
        )


def refuse_incomplete_sequences(settings: Settings) -> None:
    """Raises: SettingError for settings that a task of sequences lacks, or that do not go with it."""
    of_text = ("tokens", "vocabulary_size") if settings.task == "text" else ("representation",)
    optional = {"supervised_metric"}
    groups = ("sequences", "lessons")
    of_all = (name for name in Settings.model_fields if group_of(name) in groups and name not in optional)
    if lacking := [name for name in (*of_text, *of_all) if getattr(settings, name) is None]:
        raise SettingError(f"task={settings.task} needs {', '.join(lacking)}")
    refuse_others(settings, f"task={settings.task}", {"network": "transformer", "z_dim": None, "atoms": None})
    if settings.task == "molecules":
        refuse_other_rewards(settings)
        if settings.optimise is not None and settings.gradient != "policy":
            raise SettingError(
                f"optimise={settings.optimise} needs gradient=policy: a property of a molecule has no derivative that "
                "could go straight through its symbols"
            )


def refuse_incomplete_graphs(settings: Settings) -> None:
    """Raises: SettingError for settings that molecules as graphs lack, or that do not go with them."""
    if lacking := [name for name in ("atoms", "z_dim", *OF_GRAPHS) if getattr(settings, name) is None]:
        raise SettingError(f"representation=graph needs {', '.join(lacking)}")
    of_sequences = dict.fromkeys(
        name for name in Settings.model_fields if group_of(name) == "sequences" and name not in OF_GRAPHS
    )
    refuse_others(settings, "representation=graph", {"network": "graph", "spectral_norm": False, **of_sequences})
    if settings.width % 4:
        raise SettingError(f"width={settings.width}: representation=graph takes multiples of 4, for as many heads")
    if settings.quality_metric == "perplexity":
        raise SettingError("quality_metric=perplexity is for sequences: representation=graph is judged by fcd or fdd")
    refuse_other_rewards(settings)


def refuse_others(settings: Settings, whose: str, only: Mapping[str, Any]) -> None:
    """What sequences and graphs do not take.

    Raises: SettingError for a setting that is another than the `only` one, of `whose` or of what is no picture, or if
    nothing of the budget is left for the game.
    """
    no_pictures = {"labels": False, "mirror": False, "augment": "none", "discriminator_features": "none"}
    for name, value in {**only, **no_pictures, "shuffle_buffer": None}.items():
        if getattr(settings, name) != value:
            raise SettingError(f"{name}={getattr(settings, name)}: {whose} takes {name}={value}".lower())
    if settings.supervised + given(settings.head_start) >= 1 and settings.adversarial:
        raise SettingError(
            f"supervised={settings.supervised:g} and head_start={settings.head_start:g} leave nothing of the budget "
            "for the game: make them smaller, or set adversarial=false"
        )


def refuse_incomplete_video(settings: Settings) -> None:
    """Raises: SettingError for settings that clips lack, or that do not go with them."""
    of_clips = (name for name in Settings.model_fields if group_of(name) == "video" and name != "course")
    needed = ("z_dim", *of_clips)
    if lacking := [name for name in needed if getattr(settings, name) is None]:
        raise SettingError(f"task=video needs {', '.join(lacking)}")
    if settings.fit == "patches" or not settings.adversarial or settings.supervised:
        raise SettingError("task=video needs fit=crop, pad or stretch, adversarial=true, and supervised=0")
    for name, only in {"discriminator_features": "none", "shuffle_buffer": None}.items():
        if getattr(settings, name) != only:
            raise SettingError(f"{name}={getattr(settings, name)}: task=video takes {name}={only}".lower())
    space = settings.quality_features.partition("=")[0]
    if space not in SPACES_OF_CLIPS:
        spaces = ", ".join(SPACES_OF_CLIPS)
        raise SettingError(f"quality_features={settings.quality_features}: task=video takes {spaces}=FILE")
    if {"fvd": "i3d", "clip_distance": space}.get(settings.quality_metric, space) != space or (
        settings.quality_metric == "clip_distance" and space == "i3d"
    ):
        raise SettingError(
            f"quality_metric={settings.quality_metric} and quality_features={space}: the distance of clips is called "
            "fvd with i3d=FILE, and clip_distance with all others"
        )
    if settings.network in ("unet", "transformer"):
        raise SettingError(f"network={settings.network}: task=video takes a family of networks for pictures of noise")


def refuse_other_rewards(settings: Settings) -> None:
    """Raises: SettingError for settings of molecules that do not go with what is asked for besides likeness."""
    if settings.quality_features not in SPACES_OF_MOLECULES:
        spaces = " or ".join(SPACES_OF_MOLECULES)
        raise SettingError(f"quality_features={settings.quality_features}: task=molecules takes {spaces}")
    needed = {"fcd": "chemnet", "fdd": "descriptors"}.get(settings.quality_metric, settings.quality_features)
    if settings.quality_features != needed:
        raise SettingError(f"quality_metric={settings.quality_metric} needs quality_features={needed}")
    if settings.optimise is None:
        weighed, judged = settings.reward_weight is not None, settings.quality_metric == "reward"
        if weighed or judged:
            name = "reward_weight" if weighed else "quality_metric"
            raise SettingError(
                f"{name}={getattr(settings, name)} needs something to reward: --set optimise=qed, for example"
            )
        return
    if settings.reward_weight is None:
        raise SettingError(f"optimise={settings.optimise} needs reward_weight")
    if not settings.adversarial:
        raise SettingError(f"optimise={settings.optimise} needs adversarial=true: rewards are given in the game")


def refuse_other_tasks(settings: Settings) -> None:
    """Raises: SettingError for a setting that runs of another task have, or a metric that this one is not judged by."""
    for name, field in Settings.model_fields.items():
        if not field.is_required() and (value := getattr(settings, name)) is not None:
            owners = TASKS_OF[group_of(name)]
            if settings.task not in owners:
                given = str(value).lower() if isinstance(value, bool) else value
                raise SettingError(
                    f"{name}={given} is for --task {' or '.join(owners)}, and this is task={settings.task}"
                )
    metric, paired = settings.quality_metric, settings.task == "restore" or bool(settings.paired)
    judges: tuple[str, ...] = OF_PAIRS if paired else OF_TRANSFER if settings.task == "translate" else OF_SETS
    if settings.task in TASKS_OF["sequences"]:
        judges = OF_TEXTS if settings.task == "text" else OF_MOLECULES
    if settings.task == "video":
        judges = OF_CLIPS
    if metric not in judges:
        kind = f"task={settings.task}" + (f" with paired={str(paired).lower()}" if settings.task == "translate" else "")
        raise SettingError(f"quality_metric={metric}: {kind} is judged by {', '.join(judges)}")
    if metric == "perceptual" and settings.quality_features == "pixels":
        raise SettingError("quality_metric=perceptual needs quality_features=wavelets or lite0: pixels have no maps")


def given(value: Value | None) -> Value:
    """A setting that other tasks do without, and that complete settings of this one have."""
    assert value is not None, "complete settings of this task have it"
    return value


def group_of(name: str) -> str:
    """The group that a setting is shown in."""
    extra = Settings.model_fields[name].json_schema_extra
    assert isinstance(extra, dict), "every field says its group"
    return str(extra["group"])


def dumps(settings: Settings) -> str:
    """The settings as TOML that says what each means; one that is None is left out, except for `CHOSEN_NONE`."""
    document = tomlkit.document()
    document.add(
        tomlkit.comment("The complete settings of this run. The same again: sparring train DATA --preset FILE")
    )
    for group in GROUPS:
        document.add(tomlkit.nl())
        document.add(tomlkit.comment(f"--- {group}"))
        for name, field in Settings.model_fields.items():
            value = getattr(settings, name)
            if value is None and name in CHOSEN_NONE and settings.task in TASKS_OF.get(group, (settings.task,)):
                value = "none"
            if value is not None and field.json_schema_extra == {"group": group}:
                item = tomlkit.item(list(value) if isinstance(value, tuple) else value)
                document.add(name, item.comment(str(field.description)))
    return tomlkit.dumps(document)


def load(path: Path) -> Settings:
    """The complete settings of a `config.toml`.

    Raises: SettingError with the file and the key.
    """
    try:
        return complete(dict.fromkeys(OPTIONAL) | read(path))
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None


def read(path: Path) -> dict[str, Any]:
    """The keys of a TOML file, unchecked.

    Raises: SettingError if it cannot be read, with the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"{path}: cannot be read as TOML: {error}") from None


def presets() -> dict[str, str]:
    """Names of the presets that come along, and what each is for."""
    folder = resources.files("sparring") / "presets"
    names = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {name: tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))["about"] for name in names}


def preset(name: str) -> dict[str, Any]:
    """The checked settings of a preset, by its name or as a path of a TOML file (a run's config.toml too).

    Raises: SettingError.
    """
    known = presets()
    if name in known:
        text = (resources.files("sparring") / "presets" / f"{name}.toml").read_text(encoding="utf-8")
        values = tomllib.loads(text)
    elif name.endswith(".toml"):
        values = read(Path(name))
    else:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SettingError(f"there is no preset {name!r}: {hint}they are {', '.join(known)}, or a path ending in .toml")
    values.pop("about", None)
    try:
        return {key: check(key, value) for key, value in values.items()}
    except SettingError as error:
        raise SettingError(f"preset {name}: {error}") from None
