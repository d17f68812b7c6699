"""The command line. Each command is a few lines around the Python API; torch is imported when one runs.

People's text goes to standard error. With `--json -` standard output is one JSON object and nothing else.
Exit status: 0 done; 2 something the user can put right, said in a sentence; 130 after Ctrl-C; 1 anything else.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sparring.errors import MetricError, SettingError, SparringError
from sparring.evaluation.catalogue import COUNT, NEIGHBOURS
from sparring.latents.commands import latents_app
from sparring.reporting import Json, emit, examples, is_first, reporting, show, tell

app = typer.Typer(
    name="sparring",
    help="Train, judge and use generative adversarial networks: from a folder of pictures to new pictures.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(no_args_is_help=True, help="Look at data before training on it.", rich_markup_mode="rich")
app.add_typer(data_app, name="data")
app.add_typer(latents_app, name="latents")

RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, as `train --out` made it.", show_default=False)
]
Images = Annotated[
    str | None, typer.Option(metavar="N", help="Budget: images shown to the discriminator, repeats counted.")
]
Minutes = Annotated[
    str | None, typer.Option(metavar="M", help="Budget: minutes of training; the schedules follow the time.")
]


Source = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="Folder, zip, tar, .npy or .npz of pictures, shards as in 'a-{000..099}.tar' or 'pipe:COMMAND', texts, "
        "molecules (.smi, .csv, .sdf), clips, or an embedded set: digits, photographs, python (texts), nci "
        "(molecules), moving-digits (clips).",
        show_default=False,
    ),
]
SourceB = Annotated[
    str | None,
    typer.Argument(
        metavar="[DATA_B]",
        help="translate: the pictures that those of DATA are to become like, a sub-folder for each style.",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option(metavar="RUN", help="Folder to make for the run.", show_default=False)]
Preset = Annotated[str, typer.Option(metavar="NAME|FILE", help="Recipe: a name of `sparring presets`, or a TOML file.")]
Size = Annotated[str, typer.Option(metavar="auto|XS|S|M|L|XL", help="Capacity; width, rate and budget follow.")]
Resolution = Annotated[str | None, typer.Option(metavar="R|HxW", help="Side or height x width in pixels.")]
Seed = Annotated[str | None, typer.Option(metavar="S", help="Fixes everything random; 0 if not given.")]
Device = Annotated[
    str | None, typer.Option(metavar="D", help="cpu, cuda, cuda:1 or mps; the best there is if not given.")
]
Guard = Annotated[
    str | None,
    typer.Option(
        metavar="on|warn|off",
        help="What to do when training goes wrong; on takes it back by itself.",
        show_default=False,
    ),
]
StartFrom = Annotated[Path | None, typer.Option("--from", metavar="RUN", help="Start with the weights of another run.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other setting; may be repeated. They are listed in the documentation and in every config.toml.",
    ),
]


def show_version(wanted: bool) -> None:
    """Prints the version and ends, if it is wanted."""
    if wanted:
        from sparring import __version__

        sys.stdout.write(f"sparring {__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train, judge and use generative adversarial networks: from a folder of pictures to new pictures."""


@app.command(
    epilog=examples(
        "sparring train digits --out runs/demo",
        "sparring train photos/ --out runs/photos --minutes 30",
        "sparring train photos.zip --out runs/faces --resolution 64x48 --set labels=true --set mirror=true",
        "sparring train photos/ paintings/ --task translate --out runs/painter",
        "sparring train photos/ --out runs/classic --preset classic-dcgan --images 500000 --seed 1",
        "sparring train poems.txt --task text --out runs/poems --minutes 20",
        "sparring train molecules.smi --out runs/molecules --set optimise=qed",
        "sparring train photos/ --task restore --set damage=denoise --out runs/denoiser",
        "sparring train 'pipe:curl -sf https://example.org/{000..099}.tar' --out runs/large",
    )
)
def train(
    source: Source,
    out: Out,
    source_b: SourceB = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="generate, restore, translate, text, molecules or video; by the data if not given."
        ),
    ] = None,
    preset: Preset = "default",
    size: Size = "auto",
    resolution: Resolution = None,
    images: Images = None,
    minutes: Minutes = None,
    seed: Seed = None,
    device: Device = None,
    start_from: StartFrom = None,
    guard: Guard = None,
    assignments: Assignments = None,
    output: Json = None,
) -> None:
    """Train a generator on DATA: no other option is needed.

    Chooses networks, batch, penalties and augmentation from the pictures and the machine, says what and why and how
    long it will take, and starts. Ctrl-C saves; [cyan]sparring resume RUN[/cyan] goes on.
    """
    with reporting(output, out):
        from sparring import api
        from sparring.training.monitor import open_monitor

        named = {"task": task, "resolution": resolution, "images": images, "minutes": minutes, "seed": seed}
        settings = given(named | {"device": device, "guard": guard}, assignments)
        monitor = open_monitor(f"sparring train {source}")
        run = api.train(
            source, source_b, out=out, preset=preset, size=size, start_from=start_from, monitor=monitor, **settings
        )
        conclude(run, output)


@app.command(
    epilog=examples(
        "sparring tune photos/ --out runs/photos --minutes 20",
        "sparring tune drawings.zip --out runs/drawings --minutes 60 --resolution 64",
    )
)
def tune(
    source: Source,
    out: Out,
    minutes: Annotated[str, typer.Option(metavar="M", help="Budget: minutes, those of the search included.")] = "20",
    preset: Preset = "default",
    size: Size = "auto",
    resolution: Resolution = None,
    seed: Seed = None,
    device: Device = None,
    start_from: StartFrom = None,
    guard: Guard = None,
    assignments: Assignments = None,
    output: Json = None,
) -> None:
    """Train on DATA, and use the first part of the time to find the setting that matters most.

    Tries several strengths of the penalty, or several learning rates where there is none or it is given, for two to
    five hundredths of the time each. What was chosen goes on from where it is, unless another is better beyond doubt.
    The search is not saved: Ctrl-C before its end leaves nothing.
    """
    with reporting(output, out):
        from sparring import api
        from sparring.training.monitor import open_monitor

        named = {"resolution": resolution, "minutes": minutes, "seed": seed, "device": device, "guard": guard}
        run = api.tune(
            source,
            out=out,
            preset=preset,
            size=size,
            start_from=start_from,
            monitor=open_monitor(f"sparring tune {source}"),
            **given(named, assignments),
        )
        conclude(run, output)


def given(named: dict[str, Any], assignments: list[str] | None) -> dict[str, Any]:
    """The settings that a person gave by options and by --set."""
    from sparring import config

    settings = {name: value for name, value in named.items() if value is not None}
    return settings | dict(config.parse_assignment(text) for text in assignments or [])


@app.command(epilog=examples("sparring resume runs/photos", "sparring resume runs/photos --images 2000000"))
def resume(
    folder: RunFolder,
    images: Images = None,
    minutes: Minutes = None,
    device: Annotated[str | None, typer.Option(metavar="D", help="Another device than before.")] = None,
    guard: Guard = None,
    shards_from: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Where the same pictures lie now; needed for those of 'pipe:COMMAND'."),
    ] = None,
    features_from: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Where the file lies now that the discriminator looks through, if it moved."),
    ] = None,
    optimise: Annotated[
        str | None,
        typer.Option(metavar="FILE.py:F", help="Molecules: the function that rewards them; needed if it is your own."),
    ] = None,
    output: Json = None,
) -> None:
    """Go on with RUN where it stopped, with the same settings.

    With a budget of images the outcome is the same, bit for bit on a CPU, as if it had never stopped. --images or
    --minutes give a new budget, counted from the beginning, so that a finished run can be extended; it is used up
    whether quality improves or not.
    """
    with reporting(output, folder):
        from sparring import api, config
        from sparring.training.monitor import open_monitor

        run = api.resume(
            folder,
            images=None if images is None else config.check("images", images),
            minutes=None if minutes is None else config.check("minutes", minutes),
            device=None if device is None else config.check("device", device),
            guard=None if guard is None else config.check("guard", guard),
            shards_from=shards_from,
            features_from=features_from,
            optimise=None if optimise is None else config.check("optimise", optimise),
            monitor=open_monitor(f"sparring resume {folder}"),
        )
        conclude(run, output)


@app.command(
    epilog=examples(
        "sparring sample runs/demo --n 64 --out samples.png",
        "sparring sample runs/demo --n 10000 --seed 1 --out samples.npy",
        "sparring sample runs/faces --n 100 --label smiling --best-of 4 --out faces/",
        "sparring sample runs/poems --n 20 --prompt 床前 --temperature 0.8 --best-of 8 --out poems.txt",
        "sparring sample runs/python --n 20 --top-p 0.8 --out functions.jsonl",
        "sparring sample runs/molecules --n 1000 --out new.smi",
        "sparring sample runs/molecules --n 50 --scaffold c1ccc2[nH]ccc2c1 --out indoles.html",
        "sparring sample runs/shapes --n 8 --frames 64 --fps 25 --out new/",
        "sparring sample runs/shapes --n 4 --loop --out loops.gif",
        "sparring sample runs/shapes --n 8 --first picture.png --out continuations/",
    )
)
def sample(
    place: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder or its generator.safetensors.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="Pictures: .png, one grid; .npy, .npz, uint8 (N, H, W, C). Texts: .txt, one a line; .jsonl. Else a "
            "folder. Molecules: .smi, one a line; .sdf with shapes; .csv, .html with properties; .png. Clips: a folder "
            "of films; .mp4, .gif, side by side; .npy, uint8 (N, T, H, W, C); .png, rows of frames.",
            show_default=False,
        ),
    ],
    n: Annotated[int, typer.Option("--n", metavar="N", help="How many.")] = 64,
    seed: Annotated[int, typer.Option(metavar="S", help="Sample i depends on the seed and i alone.")] = 0,
    label: Annotated[str | None, typer.Option(metavar="K", help="Class, by name or number.")] = None,
    truncation: Annotated[float, typer.Option(metavar="T", help="Pictures: below 1 closer to the mean picture.")] = 1.0,
    temperature: Annotated[float, typer.Option(metavar="T", help="Texts, molecules: below 1 safer and duller.")] = 1.0,
    top_p: Annotated[
        float,
        typer.Option(
            "--top-p", metavar="P", help="Texts, molecules: symbols are of the likeliest that have so much together."
        ),
    ] = 1.0,
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="Texts: what all begin with.")] = "",
    best_of: Annotated[
        int,
        typer.Option(
            "--best-of", metavar="N", help="Not for clips: each is what the discriminator likes most of N; safer."
        ),
    ] = 1,
    scaffold: Annotated[str, typer.Option(metavar="SMILES", help="Molecules: what all hold as a part.")] = "",
    frames: Annotated[
        int | None, typer.Option(metavar="T", help="Clips: frames of each; as in training, up to 2 seconds.")
    ] = None,
    fps: Annotated[
        float | None, typer.Option(metavar="F", help="Clips: frames a second; as in training if not given.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", metavar="mp4|gif|frames", help="Clips: what a folder is filled with.")
    ] = None,
    speed: Annotated[float, typer.Option(metavar="V", help="Clips: .25 is slow motion.")] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Clips: the last frame leads to the first again.")] = False,
    interpolate: Annotated[
        bool, typer.Option("--interpolate", help="Clips: the content of each turns into that of the next.")
    ] = False,
    same: Annotated[
        str | None, typer.Option(metavar="content|motion", help="Clips: what all have from the first of them.")
    ] = None,
    motion_seed: Annotated[
        int | None, typer.Option("--motion-seed", metavar="S", help="Clips: motions of another seed.")
    ] = None,
    first: Annotated[
        Path | None, typer.Option(metavar="PICTURE", help="Clips: all begin with it, and go on differently.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="D", help="cpu, cuda or mps.")] = "cpu",
    output: Json = None,
) -> None:
    """Generate N new pictures, texts, molecules or clips: the same seed gives the same ones, however many."""
    with reporting(output):
        from sparring import api, config
        from sparring.choices import pick_device
        from sparring.output import check_place, write_samples, write_texts
        from sparring.provenance import marks

        model = api.load(place, pick_device(config.check("device", device)))
        begins = None if first is None else begun_with(model, place, first, label)
        of_clips: dict[str, Any] = {
            **{"frames": frames, "fps": fps, "speed": speed, "loop": loop, "interpolate": interpolate, "same": same},
            **{"motion_seed": None if motion_seed is None else config.check("seed", motion_seed), "first": begins},
        }
        seed = config.check("seed", seed)
        if model.makes == "clips":
            model.refuse_options_of_texts(temperature, top_p, prompt, best_of, scaffold)
            take = model.take(label=label, truncation=truncation, **of_clips)
            emit(write_clips_of(model, n, seed, take, out, form), output)
            tell(f"{n:,} clips of {take.frames:,} frames in {out}")
            return
        if form is not None:
            raise SettingError(f"format={form} is for clips, and this generator makes {model.makes}")
        check_place(out, model.makes)
        made = model.sample(
            n,
            seed=seed,
            label=label,
            truncation=truncation,
            temperature=temperature,
            top_p=top_p,
            prompt=prompt,
            best_of=best_of,
            scaffold=scaffold,
            **of_clips,
        )
        outcome: dict[str, Any] = {"path": str(out), "n": n, "seed": seed}
        if model.makes == "molecules":
            outcome["valid"] = sum(map(bool, made))
            write_molecules_of(place, list(made), out)
        elif isinstance(made, list):
            write_texts(made, out)
        else:
            cut = truncation if truncation != 1 else None
            of = best_of if best_of > 1 else None
            write_samples(made, out, marks(model, seed=seed, label=label, truncation=cut, best_of=of))
            outcome["shape"] = list(made.shape[1:])
        emit(outcome, output)
        tell(f"{n:,} samples in {out}")


def begun_with(model: Any, place: Path, picture: Path, label: str | None) -> Any:
    """The beginning of clips whose first frame is a picture; says how near it comes."""
    from sparring.latents.pictures import form_for, read_picture

    if model.makes != "clips":
        raise SettingError(f"--first is for clips, and this generator makes {model.makes}")
    found = model.beginning(read_picture(picture, form_for(model.of_clips, place)), label)
    tell(f"{picture}: the first frame comes as near as {found.psnr:.1f} dB")
    return found


def write_clips_of(model: Any, n: int, seed: int, take: Any, out: Path, form: Any) -> dict[str, Any]:
    """Writes clips as they are made; gives what is to be said of them."""
    from sparring.films import frame_rate
    from sparring.footage import check_clips, write_clips
    from sparring.provenance import marks_of_clips

    check_clips(out, n, take.frames, take.fps, form)
    channels, height, width = model.of_clips.shape
    shape = (n, take.frames, channels, height, width)
    write_clips(model.films(n, seed, take), shape, out, take.fps, marks_of_clips(model, seed, take), form)
    played = take.fps
    if out.suffix.lower() == ".gif" or form == "gif":
        played = round(float(frame_rate(Path("clip.gif"), take.fps)), 3)
        if abs(played - take.fps) > 0.01:
            tell(
                f"a GIF counts time in hundredths of a second: it plays at {played:g} frames a second, not {take.fps:g}"
            )
    outcome = {"path": str(out), "n": n, "seed": seed, "frames": take.frames, "fps": played, "shape": list(shape[1:])}
    if take.begins is not None:
        outcome["first_frame_psnr"] = round(take.begins.psnr, 3)
    return outcome


def write_molecules_of(place: Path, made: list[str], out: Path) -> None:
    """Writes molecules of a run or generator, beside the nearest of those it was trained on where these are at hand."""
    from sparring.chemistry.writing import NAMES_NEAREST, write_molecules
    from sparring.evaluation.molecule_sides import training_of
    from sparring.training.monitor import open_monitor

    with open_monitor(f"sparring sample {place}") as monitor:
        training = None
        if out.suffix.lower() in NAMES_NEAREST:
            try:
                training = training_of(place, monitor.progress)
            except SparringError as error:
                monitor.note(f"the nearest training molecules are not named: {error}")
        for notice in write_molecules(made, out, training.smiles if training else None, monitor.progress):
            monitor.note(notice)


@app.command(
    epilog=examples(
        "sparring apply runs/denoiser noisy/ clean/",
        "sparring apply runs/upscaler small.jpg large.png",
        "sparring apply runs/inpainter photo.jpg whole.png --mask scratches.png",
        "sparring apply runs/inpainter photos/ whole/ --mask masks/ --ensemble",
        "sparring apply runs/styles photos/ painted/ --style monet --strength 0.7",
    )
)
def apply(
    place: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder or its generator.safetensors.", show_default=False)
    ],
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A picture, or a folder of them and of folders.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="A file, whose ending is the format, or a folder, in which names stay.",
            show_default=False,
        ),
    ],
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="M",
            help="White where to fill: one for all, or a folder with one of each name; else what is transparent.",
        ),
    ] = None,
    style: Annotated[str | None, typer.Option(metavar="NAME", help="One of several that the run has learned.")] = None,
    strength: Annotated[
        float | None, typer.Option(metavar="S", help="How much of the change is made; 1 is as learned.")
    ] = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Restore in eight ways, turned and mirrored, and take the mean: slower.")
    ] = False,
    device: Annotated[str, typer.Option(metavar="D", help="cpu, cuda or mps.")] = "cpu",
    output: Json = None,
) -> None:
    """Change pictures: remove noise, enlarge, fill holes, transfer a style; whatever RUN has learned.

    Pictures may be of any size. What the folder OUT holds already is not done again, and no other file is overwritten.
    """
    with reporting(output):
        from sparring import api, config
        from sparring.applying import apply_to_files, identity
        from sparring.choices import pick_device
        from sparring.listing import describe_applied
        from sparring.model import FILE
        from sparring.provenance import marks
        from sparring.training.monitor import open_monitor

        model = api.load(place, pick_device(config.check("device", device)))
        apparatus = model.apparatus(style=style, strength=strength, ensemble=ensemble)
        made_by = identity(place / FILE if place.is_dir() else place, style, strength, ensemble)
        with open_monitor(f"sparring apply {place}") as monitor:
            found = apply_to_files(apparatus, source, out, mask, monitor.progress, monitor.note, made_by, marks(model))
        emit(found, output)
        show(describe_applied(found))


@app.command(
    epilog=examples(
        "sparring evaluate runs/demo runs/demo",
        "sparring evaluate photos/ runs/photos --json quality.json",
        "sparring evaluate photos/ samples.zip --features inception --metrics fid,kid,inception_score",
        "sparring evaluate real.npz generated.npz",
        "sparring evaluate runs/photos runs/photos --nearest nearest.png",
        "sparring evaluate clean/ restored/ --metrics psnr,ssim,perceptual",
        "sparring evaluate test.smi runs/molecules",
        "sparring evaluate --explain",
        "sparring evaluate --explain fid",
    )
)
def evaluate(
    real: Annotated[
        str | None,
        typer.Argument(
            metavar="A",
            help="What is real: pictures, texts, molecules, clips, an embedded set, a run (its training data), or .npz "
            "of features or moments.",
            show_default=False,
        ),
    ] = None,
    generated: Annotated[
        str | None,
        typer.Argument(
            metavar="B",
            help="What is generated: a run or .onnx generator (N samples of it), or the same kinds as A.",
            show_default=False,
        ),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Names with commas; what applies to sets and is quick if not given. psnr, ssim and perceptual compare "
            "B with A picture by picture, by their names.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Space to compare in: wavelets (the default above 16 pixels), pixels (up to 16), lite0, lite0-bf16, "
            "inception, inception-clean, dinov2, NAME=WEIGHTS, or a TorchScript or ONNX file; perceptual: lite0. "
            "Clips: lite0-clips (the default), lite0-clips-bf16, lite0-clips-128, i3d=FILE.",
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", metavar="N", help="Samples that are taken of a generator.")] = COUNT,
    k: Annotated[int, typer.Option("--k", metavar="K", help="Neighbours of precision, recall and so on.")] = NEIGHBOURS,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the samples.")] = 0,
    resolution: Annotated[
        str | None,
        typer.Option(metavar="R|HxW", help="Compare at this size; that of B, at most that of A, if not given."),
    ] = None,
    device: Annotated[str | None, typer.Option(metavar="D", help="cpu, cuda or mps.")] = None,
    nearest: Annotated[
        Path | None,
        typer.Option(metavar="PNG", help="Also write the most suspicious samples above the real ones they resemble."),
    ] = None,
    shave: Annotated[
        int, typer.Option(metavar="PIXELS", help="Border that metrics of pairs leave out, as with psnr_y in papers.")
    ] = 0,
    masks: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="For psnr_inside: pictures by the same names, white where pixels were missing."
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="List the metrics; of those that are named say what they tell, their range and when they lie.",
        ),
    ] = False,
    output: Json = None,
) -> None:
    """Judge generated samples B against real ones A, or restored pictures B against clean ones A.

    Each number comes with an interval and the protocol it holds under.
    """
    with reporting(output):
        if explain:
            from sparring.evaluation.catalogue import METRICS, chosen
            from sparring.evaluation.showing import explanation, overview

            asked = metrics or real
            names = list(METRICS) if asked is None else chosen(asked)
            emit({"metrics": {name: asdict(METRICS[name]) for name in names}}, output)
            show(overview() if asked is None else explanation(names))
            return
        if real is None or generated is None:
            raise MetricError("two sides are compared: sparring evaluate A B, A real and B generated")
        from sparring import config
        from sparring.evaluation.evaluator import evaluate as judge
        from sparring.evaluation.showing import verdict
        from sparring.training.monitor import open_monitor

        with open_monitor(f"sparring evaluate {real} {generated}") as monitor:
            found = judge(
                real,
                generated,
                metrics,
                features,
                n=n,
                k=k,
                seed=seed,
                resolution=config.check("resolution", resolution) if resolution else None,
                device=device,
                nearest=nearest,
                shave=shave,
                masks=masks,
                progress=monitor.progress,
            )
        emit(found.to_json(), output)
        show(verdict(found))
        if nearest is not None:
            tell(f"{nearest}: the samples most like copies, each above the real ones that it is nearest to")


@app.command(
    epilog=examples(
        "sparring export runs/faces --to onnx --out faces.onnx",
        "sparring export runs/faces --to onnx --out small.onnx --precision fp16",
        "sparring export runs/denoiser --to torch --out denoiser.pt2",
        "sparring export runs/poems --to safetensors --out poems.safetensors",
    )
)
def export(
    place: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder or its generator.safetensors.", show_default=False)
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="onnx; torch, a program of torch.export (.pt2); safetensors, the weights and their description.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="The file; its model card is PATH with .md.", show_default=False)
    ],
    precision: Annotated[
        str, typer.Option(metavar="fp32|fp16", help="Of the weights in an ONNX file; fp16 halves it.")
    ] = "fp32",
    output: Json = None,
) -> None:
    """Write the generator of RUN as a file that needs nothing of this program, and a model card beside it.

    What turns its numbers into pictures in bytes is inside. The file is compared with PyTorch before it is left.
    """
    with reporting(output):
        from sparring import api
        from sparring.exporting.export import check
        from sparring.listing import describe_exported

        check(out, to, precision)
        made = api.load(place).export(out, to, precision)
        emit(made.to_json(), output)
        show(describe_exported(made))


@app.command(
    epilog=examples(
        "sparring push runs/faces anna/faces",
        "sparring push runs/faces anna/faces --private --license cc-by-4.0",
        "sparring push runs/faces --to-folder faces/",
    )
)
def push(
    place: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run folder or its generator.safetensors.", show_default=False)
    ],
    repository: Annotated[
        str | None,
        typer.Argument(metavar="[USER/NAME]", help="Repository; made if there is none.", show_default=False),
    ] = None,
    to_folder: Annotated[
        Path | None,
        typer.Option("--to-folder", metavar="DIR", help="Write the same files here instead, and send nothing."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a repository that nobody else sees.")] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="R", help="Branch; made if there is none; main if not given.")
    ] = None,
    message: Annotated[str | None, typer.Option(metavar="M", help="What the commit says.")] = None,
    license: Annotated[
        str | None, typer.Option(metavar="ID", help="Licence for the page, by the Hub's name: mit, cc-by-4.0, ...")
    ] = None,
    output: Json = None,
) -> None:
    """Send the generator of RUN to the Hugging Face Hub, with a page that says what it is.

    `hf auth login` gives it the right to. `sparring pull` fetches it again.
    """
    with reporting(output):
        from sparring import api
        from sparring.listing import describe_shared

        made = api.load(place).push(
            repository, to_folder=to_folder, private=private, revision=revision, message=message, license=license
        )
        emit(made.to_json(), output)
        show(describe_shared(made))


@app.command(
    epilog=examples(
        "sparring pull anna/faces --out runs/faces",
        "sparring pull anna/faces --out runs/older --revision v1",
        "sparring pull faces/ --out runs/faces",
    )
)
def pull(
    place: Annotated[
        str,
        typer.Argument(
            metavar="USER/NAME", help="Repository, or a folder that `push --to-folder` made.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="New or empty folder.", show_default=False)],
    revision: Annotated[str | None, typer.Option(metavar="R", help="Branch, tag or commit.")] = None,
    output: Json = None,
) -> None:
    """Fetch a generator from the Hugging Face Hub into a folder that `sample`, `apply`, `serve` and `export` take.

    Only files of known names are fetched, and none of them is run; what is no generator leaves nothing behind.
    """
    with reporting(output):
        from sparring.exporting import hub
        from sparring.listing import describe_shared

        made = hub.pull(place, out, revision)
        emit({"from": place, **made.to_json()}, output)
        show(describe_shared(made))


@app.command(epilog=examples("sparring runs runs/"))
def runs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder whose sub-folders are runs.")] = Path("runs"),
    output: Json = None,
) -> None:
    """List the runs in DIR with their state and best quality."""
    with reporting(output):
        from sparring.listing import find_runs, table

        found = find_runs(folder)
        emit({"runs": found}, output)
        show(table(found))


@app.command(
    epilog=examples(
        "sparring serve runs/demo",
        "sparring serve runs/ --port 8080",
        "SPARRING_TOKEN=... sparring serve runs/faces runs/poems --host 0.0.0.0",
    )
)
def serve(
    places: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs, folders of runs, or generator files.", show_default=False),
    ],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; others than this machine's own want a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="P", min=0, max=65535, help="0 takes a free one.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="SPARRING_TOKEN", metavar="TOKEN", help="What clients have to know.", show_envvar=True),
    ] = None,
    device: Annotated[str, typer.Option(metavar="D", help="cpu, cuda or mps.")] = "cpu",
    precision: Annotated[
        Literal["fp32", "bf16"],
        typer.Option(
            metavar="fp32|bf16",
            help="fp32 makes the pictures that `sample` makes; bf16 almost these, faster where the processor has it.",
        ),
    ] = "fp32",
    output: Json = None,
) -> None:
    """Serve runs: a web page for people, and under it an HTTP API for programs.

    Ctrl-C or SIGTERM ends it, after what was taken is done. --json tells the address and the runs once it listens.
    """
    with reporting(output):
        # Read when torch is loaded. The threads of a layer would wait for one another by counting, on cores that the
        # threads of HTTP and other programs want; where these take one, all others count until it is given back.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        from sparring import config

        try:
            from sparring.serving import server
        except ModuleNotFoundError as error:
            if error.name and error.name.startswith("sparring"):
                raise
            raise SettingError(
                f"serving needs the package {error.name}, which is not installed; run: pip install 'sparring[serve]'"
            ) from None

        def started(address: str, names: Sequence[str]) -> None:
            emit({"address": address, "runs": list(names)}, output)
            sys.stdout.flush()
            tell(f"{address} serves {', '.join(names)}; Ctrl-C ends it")

        server.serve(places, host, port, token or None, config.check("device", device), started, precision)


@app.command(epilog=examples("sparring doctor runs/photos"))
def doctor(folder: RunFolder, output: Json = None) -> None:
    """Say what the curves of RUN mean, what went wrong, and what to change."""
    with reporting(output):
        from sparring.listing import diagnosis
        from sparring.training.account import Account
        from sparring.training.doctor import examine, signals
        from sparring.training.run import Run

        run = Run(folder).existing()
        account = replace(Account.read(run.folder), summary=run.summary())
        watched = {signal.name: {"highest": most, "threshold": signal.threshold} for signal, most in signals(account)}
        advice = [asdict(found) for found in examine(account)]
        emit({"run": str(folder), "state": account.state, "advice": advice, "signals": watched}, output)
        show(diagnosis(account))


@app.command(epilog=examples("sparring presets"))
def presets(output: Json = None) -> None:
    """List the recipes that `train --preset` takes."""
    with reporting(output):
        from rich.table import Table

        from sparring import config

        known = config.presets()
        emit({"presets": known}, output)
        listed = Table("preset", "what it is", box=None)
        for name, about in known.items():
            listed.add_row(name, about)
        show(listed)


@data_app.command(
    epilog=examples(
        "sparring data check photos.zip",
        "sparring data check photos/ --json -",
        "sparring data check frames/ --task video",
    )
)
def check(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Folder, archive, array, texts, molecules, clips or an embedded set.",
            show_default=False,
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help="What it is for, if it does not tell: video for folders of frames, text, molecules, generate.",
            show_default=False,
        ),
    ] = None,
    output: Json = None,
) -> None:
    """Decode every picture or clip of DATA, or read every text or molecule; say what there is, and would be skipped."""
    with reporting(output):
        from sparring import config, data
        from sparring.listing import describe_clips, describe_data, describe_molecules, describe_texts
        from sparring.training.monitor import open_monitor

        task = None if task is None else config.check("task", task)

        outcome: Any
        shown: Any
        with open_monitor(f"sparring data check {source}") as monitor:
            if task == "video" or (task is None and data.surely_clips(source)):
                clips = data.check_clips(source, progress=monitor.progress)
                outcome, shown = clips, describe_clips(clips)
            elif task == "molecules" or (task is None and data.surely_molecules(source)):
                molecules = data.check_molecules(source, progress=monitor.progress)
                outcome, shown = molecules, describe_molecules(molecules)
            elif task == "text" or (task is None and data.is_text(source)):
                texts = data.check_texts(source, progress=monitor.progress)
                outcome, shown = texts, describe_texts(texts)
            else:
                pictures = data.check(source, progress=monitor.progress)
                outcome, shown = pictures, describe_data(pictures)
        emit(outcome, output)
        show(shown)


@data_app.command(
    epilog=examples("sparring data pack photos/ shards/", "sparring data pack photos.zip shards/ --size-per-shard 5000")
)
def pack(
    source: Annotated[
        str, typer.Argument(metavar="DATA", help="Whatever can be trained on: folder, archive, ...", show_default=False)
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make for the shards.", show_default=False)],
    size_per_shard: Annotated[int, typer.Option(metavar="N", help="Pictures in a shard, about.")] = 1000,
    output: Json = None,
) -> None:
    """Pack DATA into WebDataset shards, which can be trained on however many they are.

    Files keep their bytes, arrays become PNG, broken pictures are left out and listed. All shards are alike.
    """
    with reporting(output):
        from sparring import data
        from sparring.listing import describe_packed
        from sparring.training.monitor import open_monitor

        with open_monitor(f"sparring data pack {source}") as monitor:
            packed = data.pack(source, out, per_shard=size_per_shard, progress=monitor.progress)
        emit(packed, output)
        show(describe_packed(packed))


def conclude(run: Any, output: str | None) -> None:
    """Says how a run ended; 130 for one that was interrupted. Of many processes the first one speaks for all."""
    if not is_first():
        return
    from sparring.listing import ending

    summary = run.summary()
    emit({"run": str(run), **summary}, output)
    show(ending(run, summary))
    if summary["state"] == "interrupted":
        raise typer.Exit(130)
    if summary["state"] != "finished":
        raise typer.Exit(1)


def main() -> None:
    """The entry point."""
    # What Apple's MPS lacks runs on the CPU then; torch reads it when it is loaded.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    app()
