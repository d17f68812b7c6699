"""A trained generator, ready to use: the one class through which everything after training goes."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack, overload

import torch
from PIL.Image import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sparring.applying import Apparatus, Ensemble, apply_to_picture
from sparring.errors import RunError, SettingError
from sparring.tasks import filming, generate, graphs, growing, restore, sequences, translate, video
from sparring.tasks.filming import Beginning, Take, Wishes
from sparring.wording import things

if TYPE_CHECKING:
    from sparring.exporting import Exported
    from sparring.exporting.hub import Shared

FILE = "generator.safetensors"
JUDGE = "judge.safetensors"
FORMAT = "sparring generator 1"
"""The entry of the file's metadata that holds the blueprint as JSON."""

Blueprint = (
    generate.Blueprint
    | restore.Blueprint
    | translate.Blueprint
    | sequences.Blueprint
    | graphs.Blueprint
    | video.Blueprint
)

BLUEPRINTS: dict[str, type[Blueprint]] = {
    "generate": generate.Blueprint,
    "restore": restore.Blueprint,
    "translate": translate.Blueprint,
    "text": sequences.Blueprint,
    "molecules": sequences.Blueprint,
    "video": video.Blueprint,
    "graph": graphs.Blueprint,
}
"""By the representation that a generator has, or else its task."""


Kind = Literal["pictures", "texts", "molecules", "clips"]


def blueprint_of(values: Mapping[str, Any]) -> Blueprint:
    """The blueprint that JSON made of its `describe()`. Raises: KeyError or TypeError if it is of another version."""
    return BLUEPRINTS[values.get("representation", values["task"])].from_json(values)


NOTHING_OF_CLIPS = (None, None, 1.0, False, False, None, None, None)
"""What `sample` is asked of clips if nothing is."""


class Model:
    """A generator with what is needed to sample from it."""

    def __init__(self, generator: nn.Module, blueprint: Blueprint, judge: nn.Module | None = None) -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.blueprint = blueprint
        self._judge = None if judge is None else judge.eval().requires_grad_(False)
        self._judge_file: Path | None = None
        self.origin: Path | None = None
        """The file that it was loaded from."""

    @classmethod
    def load(cls, place: str | PathLike[str], device: str = "cpu") -> Self:
        """The generator of a run folder or of a `.safetensors` file.

        Raises: RunError if there is none, or if the file is damaged or of another kind.
        """
        path = Path(place)
        if path.is_dir():
            path = path / FILE
        if not path.is_file():
            known = "it holds no generator yet" if (path.parent / "config.toml").is_file() else "there is no run there"
            raise RunError(f"{place}: {known} (looked for {FILE})")
        with understanding(path):
            values, weights = read_generator(path, device)
            blueprint = blueprint_of(values)
            generator = blueprint.generator().to(device)
            generator.load_state_dict(weights)
        model = cls(generator, blueprint)
        model.origin = path
        beside = path.with_name(JUDGE)
        if path.name == FILE and beside.is_file():
            model._judge_file = beside
        if not isinstance(blueprint, generate.Blueprint):
            _ = model.judge  # small, and so read at once
        return model

    @property
    def judge(self) -> nn.Module | None:
        """The discriminator to choose samples by; None if there is none. That of pictures, which may look through a
        large network, is read when it is asked for.

        Raises: RunError if its file is damaged; SettingError as `generate.Blueprint.judge`.
        """
        blueprint, beside = self.blueprint, self._judge_file
        if not isinstance(blueprint, generate.Blueprint | sequences.Blueprint | graphs.Blueprint):
            return None
        if self._judge is None and beside is not None:
            device = str(self.device)
            judge = blueprint.judge().to(device)
            with understanding(beside):
                judge.load_state_dict(read_generator(beside, device)[1])
            self._judge = judge.eval().requires_grad_(False)
        return self._judge

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: int | str | None = None,
        truncation: float = 1.0,
        start: int = 0,
        *,
        temperature: float = 1.0,
        top_p: float = 1.0,
        prompt: str = "",
        best_of: int = 1,
        scaffold: str = "",
        frames: int | None = None,
        fps: float | None = None,
        speed: float = 1.0,
        loop: bool = False,
        interpolate: bool = False,
        same: Literal["content", "motion"] | None = None,
        motion_seed: int | None = None,
        first: Beginning | None = None,
    ) -> Tensor | list[str]:
        """Samples `start` to `start + n - 1` of a seed: pictures uint8 (n, C, H, W), clips uint8 (n, T, C, H, W), or a
        list of texts, or of SMILES.

        Sample i depends on (seed, i) alone: 16 samples are the first 16 of 64.
        Pictures. label: number or name of the class; None draws classes as often as they are in the training data.
        truncation: 0 to 2; below 1 they are closer to the mean picture. best_of: each is the one of so many that the
        discriminator takes to be the most real: better pictures, and hardly less variety.
        Texts and molecules. temperature: 0 (the likeliest symbol each time) to 5; below 1 is safer and duller. top_p:
        above 0, to 1; each symbol is one of the fewest likeliest ones that have so much of the probability together, so
        that below 1 rare slips do not come (Holtzman et al. 2020, arXiv 1904.09751). best_of: as of pictures. prompt:
        what all texts begin with.
        scaffold: a SMILES that all molecules hold as a part; neither this nor top_p is for those that are drawn as
        graphs, where temperature is a factor of their random numbers. A molecule is a canonical SMILES; a sample that
        is none, which is rare, is empty.
        Clips. label and truncation as for pictures; the others as `take` has them.

        Raises: SettingError for a number out of range, a class that is not known, a prompt or scaffold with unknown
        symbols, one that too few samples keep, or an option that is for generators of another kind. RunError if there
        is no discriminator to choose by.
        """
        refuse_counts(n, start)
        of_clips = (frames, fps, speed, loop, interpolate, same, motion_seed, first) != NOTHING_OF_CLIPS
        if of_clips and not isinstance(self.blueprint, video.Blueprint):
            raise SettingError(
                "--frames, --fps, --speed, --loop, --interpolate, --same, --motion-seed and --first are for clips, and "
                f"this generator makes {self.makes}"
            )
        if isinstance(self.blueprint, sequences.Blueprint | graphs.Blueprint):
            what = things(self.blueprint.task)[0]
            if label is not None or truncation != 1:
                raise SettingError(
                    f"this generator writes {what}: it takes --temperature, and no --label or --truncation"
                )
            if scaffold and what == "texts":
                raise SettingError("--scaffold is for molecules, and this generator writes texts: it takes --prompt")
            if prompt and what == "molecules":
                raise SettingError("--prompt is for texts, and this generator writes molecules: it takes --scaffold")
            self.check_choice(temperature, top_p, best_of)
            if isinstance(self.blueprint, graphs.Blueprint):
                return self.drawn(self.blueprint, n, seed, start, temperature, top_p, best_of, scaffold)
            return self.written(self.blueprint, n, seed, start, temperature, top_p, prompt, best_of, scaffold)
        clips = isinstance(self.blueprint, video.Blueprint)
        self.refuse_options_of_texts(temperature, top_p, prompt, best_of if clips else 1, scaffold)
        if isinstance(self.blueprint, video.Blueprint):
            take = self.take(
                frames=frames,
                fps=fps,
                speed=speed,
                loop=loop,
                interpolate=interpolate,
                same=same,
                motion_seed=motion_seed,
                label=label,
                truncation=truncation,
                first=first,
            )
            return filming.sample(self.generator, self.blueprint, n, seed, take, start)
        if not 0 <= truncation <= 2:
            raise SettingError(f"truncation={truncation}: it should be from 0 to 2; 1 changes nothing")
        blueprint = self.from_noise
        number = None if label is None else blueprint.class_number(label)
        self.check_choice(temperature, top_p, best_of)
        if best_of > 1:
            assert self.judge is not None, "refused above"
            found = generate.chosen(self.generator, self.judge, blueprint, n, seed, best_of, number, truncation, start)
            return found.pictures
        return generate.sample(self.generator, blueprint, n, seed, number, truncation, start)

    def refuse_options_of_texts(
        self, temperature: float, top_p: float, prompt: str, best_of: int, scaffold: str
    ) -> None:
        """Raises: SettingError if something is asked for that texts or molecules have, or `best_of` of clips."""
        if temperature != 1 or top_p != 1 or prompt or best_of != 1 or scaffold:
            raise SettingError(
                "--temperature, --top-p, --prompt and --scaffold are for texts and molecules, --best-of for these and "
                f"pictures, and this generator makes {self.makes}"
            )

    def take(self, **wishes: Unpack[Wishes]) -> Take:
        """How clips are made, for `films`.

        frames: of a clip; None: as many as clips of the training data have, 2 seconds at most. fps: None: as they have.
        speed: below 1 slow motion. loop: the last frame leads to the first again; the motion goes a little faster or
        slower for it. interpolate: the content of clip i turns into that of clip i + 1. same: `content` or `motion` is
        that of the first clip in all. motion_seed: of the motions, where they are not to be those of the seed. first:
        what all begin with, as `beginning` finds it for a picture.

        Raises: RunError if the generator makes no clips; SettingError as `filming.Take`, or for an unknown class.
        """
        return self.of_clips.take(**wishes)

    def films(self, n: int, seed: int, take: Take, start: int = 0) -> Iterator[Iterator[Tensor]]:
        """The clips that `sample` gives, each in parts uint8 (t, C, H, W) that follow one another, t at most 16.

        Raises: RunError if the generator makes no clips, SettingError for n or start out of range.
        """
        refuse_counts(n, start)
        camera = filming.Camera(self.generator, self.of_clips, seed, take)
        return (camera.film(number) for number in range(start, start + n))

    def beginning(self, picture: Tensor, label: int | str | None = None, seed: int = 0) -> Beginning:
        """The content and the first motion of a clip that begins with a picture, uint8 (C, H, W) of the clips' shape.

        label: its class; looked for if None. seed: of the noise of the search.

        Raises: RunError if the generator makes no clips, SettingError for a picture of another shape.
        """
        from sparring.latents.beginnings import beginning_with

        return beginning_with(self, picture, label, seed)

    @property
    def of_clips(self) -> video.Blueprint:
        """What the generator is, if it makes clips.

        Raises: RunError if it does not.
        """
        if not isinstance(self.blueprint, video.Blueprint):
            raise RunError(f"this generator makes {self.makes} and no clips: those come of sparring train --task video")
        return self.blueprint

    def latents(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """The random numbers that `sample` makes the same pictures of: z float32 (n, z_dim), standard normal.

        `decode(latents(n, seed))` is `sample(n, seed)`, byte for byte; of a generator with classes so is
        `decode(latents(n, seed), labels(n, seed))`.

        Raises: RunError if the generator makes no pictures of noise, SettingError for a number out of range.
        """
        return self.from_noise.drawn(n, seed, start)[0]

    def labels(self, n: int, seed: int = 0, start: int = 0) -> Tensor:
        """The class numbers that `sample` draws for the same pictures, int64 (n,); all 0 if there are no classes.

        Raises: as `latents`.
        """
        return self.from_noise.drawn(n, seed, start)[1]

    def decode(self, z: Tensor, label: int | str | Tensor | None = None) -> Tensor:
        """The pictures of z float (n, z_dim), uint8 (n, C, H, W).

        label: for a generator with classes: number or name of the class that all are of, class numbers int64 (n,), or
        shares float (n, classes), so that there is something between classes.

        Raises: RunError if the generator makes no pictures of noise; SettingError for z or labels of another shape,
        with NaN or infinity, or if labels are missing, or given to a generator without classes.
        """
        return generate.decode(self.generator, *self.inputs(z, label))

    def inputs(self, z: Tensor, label: int | str | Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What `decode` gives the generator: z float32 (n, z_dim), and y (n, classes) if it knows classes.

        Raises: as `decode`.
        """
        return self.from_noise.inputs(z, label)

    def written(
        self,
        blueprint: sequences.Blueprint,
        n: int,
        seed: int,
        start: int,
        temperature: float,
        top_p: float,
        prompt: str,
        best_of: int,
        scaffold: str,
    ) -> list[str]:
        """The texts or SMILES that `sample` gives."""
        count, first = n * best_of, start * best_of
        if scaffold:
            drawn = growing.grown(self.generator, blueprint, count, seed, scaffold, temperature, first, top_p)
        else:
            drawn = sequences.sample(self.generator, blueprint, count, seed, temperature, prompt, first, top_p)
        if best_of > 1:
            assert self.judge is not None, "refused above"
            scores = sequences.scores(self.judge, blueprint, drawn).view(n, best_of)
            drawn = drawn.view(n, best_of, -1)[torch.arange(n), scores.argmax(1)]
        return [blueprint.symbols.decode(tokens) for tokens in drawn.tolist()]

    def drawn(
        self,
        blueprint: graphs.Blueprint,
        n: int,
        seed: int,
        start: int,
        temperature: float,
        top_p: float,
        best_of: int,
        scaffold: str,
    ) -> list[str]:
        """The SMILES that `sample` gives of a generator of graphs."""
        if scaffold:
            raise SettingError(
                "--scaffold is for molecules that are written as SELFIES, which can be begun with it, and this "
                "generator draws whole graphs: train one with --set representation=selfies"
            )
        if top_p != 1:
            raise SettingError(
                "--top-p chooses among the next symbols of what is written one by one, and this generator draws whole "
                "graphs: it takes --temperature; one trained with --set representation=selfies takes both"
            )
        nodes, bonds = graphs.sample(self.generator, blueprint, n * best_of, seed, temperature, start * best_of)
        if best_of > 1:
            assert self.judge is not None, "refused before"
            best = graphs.scores(self.judge, blueprint, nodes, bonds).view(n, best_of).argmax(1)
            chosen = torch.arange(n) * best_of + best
            nodes, bonds = nodes[chosen], bonds[chosen]
        return blueprint.smiles(nodes, bonds)

    def check_choice(self, temperature: float, top_p: float, best_of: int) -> None:
        """Raises: SettingError for a number out of range, RunError if there is no discriminator to choose by."""
        if not 0 <= temperature <= 5:
            raise SettingError(f"temperature={temperature}: it should be from 0 to 5; 1 changes nothing")
        if not 0 < top_p <= 1:
            raise SettingError(f"top_p={top_p}: it should be above 0, to 1; 1 changes nothing")
        if best_of < 1:
            raise SettingError(f"best_of={best_of}: it should be at least 1")
        if best_of > 1 and self.judge is None:
            raise RunError(
                f"best_of={best_of} needs a discriminator, and there is none: a run that has played its game keeps "
                f"it as {JUDGE} beside {FILE}"
            )

    @property
    def floats(self) -> Callable[[Tensor, Tensor | None], Tensor]:
        """What makes pictures (n, C, H, W), about in [-1, 1], of z (n, z_dim) and y, with gradients."""
        return self.generator

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.generator.parameters()).device

    @property
    def from_noise(self) -> generate.Blueprint:
        """What the generator is, if it makes pictures of noise.

        Raises: RunError if it makes pictures of pictures, or something else.
        """
        if isinstance(self.blueprint, video.Blueprint):
            raise RunError(
                "this generator makes clips, and this is for pictures: sparring sample RUN --out new/; docs/video.md "
                "says how contents and motions are mixed"
            )
        if not isinstance(self.blueprint, generate.Blueprint):
            written = isinstance(self.blueprint, sequences.Blueprint | graphs.Blueprint)
            kind = "writes" if written else "changes pictures, and"
            raise RunError(
                f"this generator {kind} no pictures of noise; a picture is changed by sparring apply RUN IN OUT"
            )
        return self.blueprint

    def apparatus(
        self, style: str | None = None, strength: float | None = None, *, ensemble: bool = False
    ) -> Apparatus:
        """What changes pictures, for `sparring.applying`; `style` and `strength` are for generators that know styles,
        and `ensemble` for those that restore.

        style: one of `styles`, or a mixture as in A+B or A:0.7+B:0.3. strength: 0 (the picture as it was) to 1.
        ensemble: restore each picture in eight ways, turned and mirrored, and take the mean; see `applying.ensemble`.
        Raises: RunError if the generator makes pictures of noise, SettingError for a style that it does not know.
        """
        if isinstance(self.blueprint, sequences.Blueprint | graphs.Blueprint):
            what = things(self.blueprint.task)[0]
            raise RunError(f"this generator writes {what}, and changes no pictures: sparring sample RUN --out PATH")
        if isinstance(self.blueprint, video.Blueprint):
            raise RunError(
                "this generator makes clips, and changes no pictures: sparring sample RUN --first PICTURE --out PATH "
                "goes on from one"
            )
        if isinstance(self.blueprint, generate.Blueprint):
            raise RunError("this generator makes pictures of noise, not of pictures: sparring sample RUN --out PATH")
        if isinstance(self.blueprint, translate.Blueprint):
            strength = 1.0 if strength is None else strength
            if not 0 <= strength <= 1:
                raise SettingError(f"strength={strength}: it should be from 0, the picture as it was, to 1")
            if ensemble:
                raise SettingError(
                    "--ensemble is for generators that restore pictures: paint may run another way round"
                )
            return translate.Apparatus(self.generator, self.blueprint, self.blueprint.mixture(style), strength)
        if style is not None or strength is not None:
            raise SettingError("this generator restores pictures, and knows no --style and no --strength")
        apparatus = restore.Apparatus(self.generator, self.blueprint)
        return Ensemble(apparatus) if ensemble else apparatus

    @overload
    def apply(
        self,
        picture: Image,
        mask: Image | Tensor | None = None,
        *,
        style: str | None = None,
        strength: float | None = None,
        ensemble: bool = False,
    ) -> Image: ...
    @overload
    def apply(
        self,
        picture: Tensor,
        mask: Image | Tensor | None = None,
        *,
        style: str | None = None,
        strength: float | None = None,
        ensemble: bool = False,
    ) -> Tensor: ...
    def apply(
        self,
        picture: Image | Tensor,
        mask: Image | Tensor | None = None,
        *,
        style: str | None = None,
        strength: float | None = None,
        ensemble: bool = False,
    ) -> Image | Tensor:
        """What the generator makes of a picture of any size, uint8 (C, H, W) or a PIL image; the result is of its kind.

        mask: where to fill, for a generator that fills holes: white, true or 1; without, what is transparent is filled.
        Raises: as `apparatus` and `sparring.applying.apply_to_picture`.
        """
        return apply_to_picture(self.apparatus(style, strength, ensemble=ensemble), picture, mask)

    @property
    def makes(self) -> Kind:
        """What samples are."""
        return made_by(self.blueprint)

    @property
    def styles(self) -> Sequence[str]:
        """Names of the styles that pictures can be translated into; empty if there is one or none."""
        return self.blueprint.styles if isinstance(self.blueprint, translate.Blueprint) else ()

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the generator as one `.safetensors` file that `load` takes."""
        save_generator(self.generator, self.blueprint.describe(), Path(path))

    def export(self, path: str | PathLike[str], to: str, precision: str = "fp32") -> "Exported":
        """Writes the generator as a file that needs nothing of this program, and a model card beside it.

        to: onnx, torch or safetensors. precision: fp32 or fp16. Raises: as `sparring.exporting.export`.
        """
        from sparring.exporting import export

        return export(self, path, to, precision)

    def push(
        self,
        repository: str | None = None,
        *,
        to_folder: str | PathLike[str] | None = None,
        private: bool = False,
        revision: str | None = None,
        message: str | None = None,
        license: str | None = None,
    ) -> "Shared":
        """Sends the generator to a repository `USER/NAME` of the Hugging Face Hub, or writes the same into a folder.

        The options, and Raises: as `sparring.exporting.hub.push`.
        """
        from sparring.exporting.hub import push

        return push(
            self,
            repository,
            to_folder=to_folder,
            private=private,
            revision=revision,
            message=message,
            license=license,
        )

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes that can be asked for; empty if there are none."""
        return self.blueprint.classes if isinstance(self.blueprint, video.Blueprint) else self.from_noise.classes


def made_by(blueprint: Blueprint) -> Kind:
    """What the samples of a generator are."""
    if isinstance(blueprint, video.Blueprint):
        return "clips"
    if isinstance(blueprint, sequences.Blueprint | graphs.Blueprint):
        return "texts" if blueprint.task == "text" else "molecules"
    return "pictures"


def refuse_counts(n: int, start: int) -> None:
    """Raises: SettingError if there are no samples from `start` on, `n` of them."""
    if n < 1 or start < 0:
        raise SettingError(f"n={n}: it should be at least 1" if n < 1 else f"start={start}: it should be at least 0")


def read_generator(path: Path, device: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the weights of a file that `save_generator` wrote.

    Raises: RunError if it is of another kind.
    """
    with safe_open(path, framework="pt", device=device) as file:
        metadata = file.metadata() or {}
        if FORMAT not in metadata:
            raise RunError(f"{path}: not a generator of this program")
        return json.loads(metadata[FORMAT]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextmanager
def understanding(path: Path) -> Iterator[None]:
    """Turns what is wrong with a file into a sentence.

    Raises: RunError.
    """
    try:
        yield
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError(f"{path}: damaged or made by another version: {error}") from None


def save_generator(generator: nn.Module, description: dict[str, object], path: Path) -> None:
    """Writes weights and description whole or not at all: aside first, then renamed."""
    aside = path.with_name(f".{path.name}.new")
    try:
        # One entry alone: safetensors writes several in an order that changes from process to process.
        write_tensors(generator.state_dict(), aside, {FORMAT: json.dumps(description)})
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes a safetensors file, readable by whoever may read the other files of the folder.

    The library's own `save_file` makes it readable by its owner alone.
    """
    path.write_bytes(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, metadata))
