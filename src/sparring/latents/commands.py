"""`sparring latents walk | invert | edit | mix`: each a few lines around the functions beside it.

Torch is imported when a command runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.errors import RunError, SettingError
from sparring.reporting import Json, emit, examples, reporting, tell

if TYPE_CHECKING:
    from sparring.latents.decoders import Decoder
    from sparring.latents.directions import Directions
    from sparring.latents.points import Points

LISTED = 12
"""Points that a file names as what it was made of, at most."""

latents_app = typer.Typer(
    no_args_is_help=True,
    help="Walk between samples, find the latents of a picture, edit and mix what a generator makes.",
    rich_markup_mode="rich",
)

Place = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="A run folder, its generator.safetensors, or a generator of others: .onnx; TorchScript (.pt, .pth, .ts).",
        show_default=False,
    ),
]
Wanted = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[POINT]...",
        help="SEED, SEED:I or SEED:I-J: samples of a seed; FILE.npz, FILE.npz:I or FILE.npz:I-J: latents that invert, "
        "edit or mix wrote, or of your own under the name z.",
        show_default=False,
    ),
]
Label = Annotated[
    str | None,
    typer.Option(metavar="K[,K...]", help="Classes, by name or number: one for all points or one each."),
]
Device = Annotated[str, typer.Option(metavar="D", help="cpu, cuda or mps.")]
Latents = Annotated[
    Path | None, typer.Option(metavar="NPZ", help="Also write the latents of the pictures, to be used as points.")
]


@latents_app.command(
    epilog=examples(
        "sparring latents walk runs/photos 0:0-4 --out walk.mp4",
        "sparring latents walk runs/photos 3:1 7:2 --no-loop --frames 8 --out row.png",
        "sparring latents walk runs/faces 5 --label sad,happy,angry --out moods.gif",
        "sparring latents walk runs/photos found/latents.npz --out through-my-pictures.mp4",
    )
)
def walk(
    place: Place,
    out: Annotated[
        Path, typer.Option(metavar="PATH", help=".mp4 or .gif, a film; .png, a row for each leg.", show_default=False)
    ],
    wanted: Wanted = None,
    label: Label = None,
    frames: Annotated[
        int | None, typer.Option(metavar="N", help="Pictures from one point to the next; 48 in films, 8 in a .png.")
    ] = None,
    fps: Annotated[float, typer.Option(metavar="F", help="Frames a second.")] = 24.0,
    loop: Annotated[bool, typer.Option("--loop/--no-loop", help="Go back to the first point at the end.")] = True,
    truncation: Annotated[float, typer.Option(metavar="T", help="Below 1 closer to the mean picture.")] = 1.0,
    device: Device = "cpu",
    output: Json = None,
) -> None:
    """Walk from point to point along great circles, as a film or a grid; samples 0 to 3 of seed 0 if none are given."""
    with reporting(output):
        from sparring import films
        from sparring.latents import interpolation
        from sparring.latents.showing import save
        from sparring.mosaic import grid
        from sparring.provenance import marks
        from sparring.tasks.generate import FORWARD

        still = out.suffix.lower() == ".png"
        rate = None if still else films.frame_rate(out, fps)
        model, points = meant(place, wanted or ["0:0-3"], label, device)
        if not 0 <= truncation <= 2:
            raise SettingError(f"truncation={truncation}: it should be from 0 to 2; 1 changes nothing")
        frames = frames or (8 if still else 48)
        way = interpolation.path(points, frames, loop=loop, ends=still)
        way = way.moved(truncation * way.z)
        outcome: dict[str, Any] = {"path": str(out), "points": list(points.names), "frames": len(way), "loop": loop}
        told = marks(model, title=f"a walk between {listed(points)}")
        if rate is None:
            save(grid(way.pictures(model), frames), out, told)
        else:
            parts = (way[start : start + FORWARD].pictures(model) for start in range(0, len(way), FORWARD))
            films.write_film(parts, out, fps, told)
            outcome |= {"fps": float(rate), "seconds": round(float(len(way) / rate), 3)}
        emit(outcome, output)
        tell(f"{len(way):,} pictures in {out}" + (f", {float(len(way) / rate):.1f} s" if rate else ""))


@latents_app.command(
    epilog=examples(
        "sparring latents invert runs/photos mine.jpg yours.png --out found/",
        "sparring latents invert runs/photos --n 32 --out held-out/   # pictures that the run never learned from",
        "sparring latents invert runs/photos photos/ --encoder --steps 0 --out quick/",
    )
)
def invert(
    place: Place,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A folder to make.", show_default=False)],
    pictures: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PICTURE]...",
            help="Picture files, folders or archives; else pictures that RUN held out.",
            show_default=False,
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", metavar="N", help="Held-out pictures, where none are given.")] = 16,
    label: Annotated[str | None, typer.Option(metavar="K", help="Class of all; looked for too, if not given.")] = None,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of the search; 0 takes the best start.")] = 300,
    starts: Annotated[int, typer.Option(metavar="N", help="Starts for each picture: the mean, and samples.")] = 3,
    encoder: Annotated[
        bool, typer.Option("--encoder", help="Start from the guess of an encoder too; it is trained and kept in RUN.")
    ] = False,
    encoder_steps: Annotated[int, typer.Option(metavar="N", help="Steps that it is trained for.")] = 1000,
    features: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Space to compare in; pixels up to 16 pixels a side, else lite0."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the noise.")] = 0,
    device: Device = "cpu",
    output: Json = None,
) -> None:
    """Find the latents whose pictures are most like given ones, and say how far they are from them.

    DIR gets compare.png (pictures above, what was found below), latents.npz, inversion.json and the pictures found.
    """
    with reporting(output):
        from sparring.choices import pick_device
        from sparring.config import check
        from sparring.latents import encoding, inversion
        from sparring.latents.decoders import opened
        from sparring.latents.likeness import Likeness, space_for
        from sparring.latents.pictures import form_for, held_out, read_pictures
        from sparring.latents.showing import inverted, said, write_inversion
        from sparring.output import OTHER_FILES, PICTURE_FILES, check_place
        from sparring.provenance import marks
        from sparring.training.monitor import open_monitor

        device = pick_device(check("device", device))
        model = opened(place, device)
        blueprint = model.from_noise
        if out.suffix.lower() in {*OTHER_FILES, *PICTURE_FILES}:
            raise RunError(f"{out}: several files are written: give --out a folder")
        check_place(out)
        if n < 1 or encoder_steps < 1:
            raise SettingError(f"n={n}, encoder_steps={encoder_steps}: both are at least 1")
        number = None if label is None else blueprint.class_number(label)
        given, names = read_pictures(pictures, form_for(blueprint, place)) if pictures else held_out(place, n)
        likeness = Likeness(space_for(blueprint.shape, features), device)
        with open_monitor(f"sparring latents invert {place}") as monitor:
            guide = None
            if encoder:
                guide, kept = encoding.encoder_for(model, place, steps=encoder_steps, progress=monitor.progress)
                file = encoding.beside(place).name if place.is_file() else encoding.NAME
                monitor.note(f"{'the encoder kept' if kept else 'an encoder, now kept,'} in {file}")
            found = inversion.invert(
                model,
                given,
                names,
                likeness,
                label=number,
                encoder=guide,
                steps=steps,
                starts=starts,
                seed=seed,
                progress=monitor.progress,
            )
        outcome = inverted(found, "given" if pictures else "held out by the run")
        write_inversion(found, given, outcome, out, marks(model, title="found for pictures by inversion"))
        emit({"path": str(out), **outcome}, output)
        if found.made is not None:
            tell(f"{outcome['search']}; {found.made:,} of them were made")
        means = ", ".join(f"{name} {said(mean)}" for name, mean in outcome["errors"].items())
        tell(f"{len(names)} pictures in {out}: {means}")


@latents_app.command(
    epilog=examples(
        "sparring latents edit runs/photos 0:0-3 --out directions.png",
        "sparring latents edit runs/photos 0:0-3 --by pca --count 8 --save pca.npz --out directions.png",
        "sparring latents edit runs/photos found/latents.npz --by brightness --direction 0 --strength 2 --out lighter/",
        "sparring latents edit runs/faces 0:0-7 --by smiles.csv --direction smile --strength 3 --out smiling.png",
    )
)
def edit(
    place: Place,
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help=".png of directions by strengths; with --direction as sample --out: .png, .npy, .npz or a folder.",
            show_default=False,
        ),
    ],
    wanted: Wanted = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help="sefa or pca, which need no labels; brightness, contrast, saturation, left-right or top-bottom, "
            "measured; classes, those of the training pictures; a .csv of samples and labels; an .npz of --save.",
        ),
    ] = "sefa",
    direction: Annotated[
        str | None, typer.Option(metavar="N", help="Number or name of one; without it several are shown.")
    ] = None,
    strength: Annotated[
        float, typer.Option(metavar="S", help="How far: 1 is the standard deviation of samples along any direction.")
    ] = 3.0,
    count: Annotated[int, typer.Option(metavar="K", help="Directions shown, at most.")] = 5,
    label: Label = None,
    seed: Annotated[int, typer.Option(metavar="S", help="Of the samples that a .csv is about.")] = 0,
    save_directions: Annotated[
        Path | None, typer.Option("--save", metavar="NPZ", help="Also write the directions, for --by.")
    ] = None,
    latents: Latents = None,
    device: Device = "cpu",
    output: Json = None,
) -> None:
    """Find directions in which one thing changes, show them on a few samples, or move along one of them."""
    with reporting(output):
        from sparring.latents import directions, points
        from sparring.latents.showing import save, strengths_grid
        from sparring.output import check_place, write_samples
        from sparring.provenance import marks

        check_place(out)
        check_npz(save_directions, latents)
        if direction is None and (out.suffix.lower() != ".png" or latents is not None):
            raise SettingError(f"{out}: several directions are one .png; give --direction for pictures of one")
        if count < 1:
            raise SettingError(f"count={count}: it should be at least 1")
        model, chosen = meant(place, wanted or ["0:0-2"], label, device)
        found, notes = directions_by(model, place, by, count, seed, device)
        if save_directions is not None:
            directions.write(found, save_directions)
        outcome: dict[str, Any] = {"path": str(out), "method": found.method, "measure": found.measure, **notes}
        if direction is None:
            shown = min(count, len(found))
            save(
                strengths_grid(model, chosen, found, shown, strength),
                out,
                marks(model, title=f"directions by {by} at {listed(chosen)}"),
            )
        else:
            number = found.number(direction)
            moved = directions.edited(chosen, found.vectors[number], strength)
            title = marks(model, title=f"{strength:g} along {found.names[number]} by {by} from {listed(chosen)}")
            write_samples(moved.pictures(model), out, title)
            if latents is not None:
                points.write(moved, latents)
            outcome |= {"direction": found.names[number], "strength": strength}
            shown = len(found)
        ranked = zip(found.names, found.scores, strict=True)
        outcome["directions"] = [{"name": name, "score": round(score, 6)} for name, score in ranked][: max(shown, 1)]
        emit(outcome, output)
        for entry in outcome["directions"][:count]:
            tell(f"{entry['name']}: {entry['score']:.3g} ({found.measure})")
        tell(f"{len(chosen)} points in {out}")


@latents_app.command(
    epilog=examples(
        "sparring latents mix runs/photos 0:3 0:7 --out between.png",
        "sparring latents mix runs/photos 0:3 0:7 found/latents.npz:0 --weights 2,1,1 --out mixed.png",
        "sparring latents mix runs/photos 0:0-3 --style 1:0-4 --out styles.png",
    )
)
def mix(
    place: Place,
    out: Annotated[
        Path, typer.Option(metavar="PATH", help="As sample --out: .png, .npy, .npz or a folder.", show_default=False)
    ],
    wanted: Wanted = None,
    weights: Annotated[
        str | None, typer.Option(metavar="W,W...", help="How much of each point; alike if not given.")
    ] = None,
    straight: Annotated[
        bool, typer.Option("--straight", help="The mean of the numbers, not the mean on the sphere: duller.")
    ] = False,
    style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="POINT", help="Give every POINT the colours and textures of each of these; for networks that can."
        ),
    ] = None,
    label: Label = None,
    latents: Latents = None,
    device: Device = "cpu",
    output: Json = None,
) -> None:
    """Mix two or more points into one picture; or, with --style, layouts of some with styles of others, in a grid."""
    with reporting(output):
        from sparring.latents import interpolation, mixing, points
        from sparring.latents.showing import save
        from sparring.mosaic import above_others, grid
        from sparring.output import check_place, write_samples
        from sparring.provenance import marks

        check_place(out)
        check_npz(latents)
        model, chosen = meant(place, wanted or ["0:0-1"], label, device)
        outcome: dict[str, Any] = {"path": str(out), "points": list(chosen.names)}
        if style:
            if weights is not None or straight or latents is not None:
                raise SettingError("--style mixes inside of the network: no latents are weighed, and none come of it")
            styles = points.find(model, style)
            made = mixing.crossed(model, chosen, styles)
            outcome["styles"] = list(styles.names)
            title = marks(model, title=f"layouts of {listed(chosen)} in rows, styles of {listed(styles)} in columns")
            if out.suffix.lower() == ".png":
                plain = above_others(styles.pictures(model), made) if len(styles) > 1 else grid(made, len(styles))
                save(plain, out, title)
            else:
                write_samples(made, out, title)
        else:
            mixed = interpolation.mixed(chosen, numbers(weights), straight=straight)
            write_samples(mixed.pictures(model), out, marks(model, title=mixed.names[0]))
            if latents is not None:
                points.write(mixed, latents)
            outcome["mixture"] = mixed.names[0]
        emit(outcome, output)
        tell(f"{outcome['mixture'] if not style else 'layouts in rows, styles in columns'}: {out}")


def meant(place: Path, wanted: list[str], label: str | None, device: str) -> "tuple[Decoder, Points]":
    """The generator, and the points that a person means."""
    from sparring.choices import pick_device
    from sparring.config import check
    from sparring.latents import points
    from sparring.latents.decoders import opened

    model = opened(place, pick_device(check("device", device)))
    return model, points.find(model, wanted, [] if label is None else [name.strip() for name in label.split(",")])


def listed(points: "Points") -> str:
    """The names of the first points."""
    return ", ".join(points.names[:LISTED]) + (", ..." if len(points) > LISTED else "")


def numbers(text: str | None) -> list[float] | None:
    """Numbers with commas.

    Raises: SettingError.
    """
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(f"weights={text}: they are numbers with commas, such as 2,1,1") from None


def check_npz(*paths: Path | None) -> None:
    """Raises: SettingError for a file that latents or directions are not written as."""
    for path in paths:
        if path is not None and path.suffix.lower() != ".npz":
            raise SettingError(f"{path}: latents and directions are written as .npz")


def directions_by(
    model: "Decoder", place: Path, by: str, count: int, seed: int, device: str
) -> "tuple[Directions, dict[str, Any]]":
    """Directions by a method, a measure, or from a file; and what else is to be said of them.

    Raises: SettingError if there is no such way.
    """
    from sparring.choices import pick_device
    from sparring.latents import boundaries, directions
    from sparring.latents.showing import estimate

    suffix = Path(by).suffix.lower()
    if by == "sefa":
        return directions.sefa(model), {}
    if by == "pca":
        return directions.principal(model, min(max(count, 20), model.from_noise.z_dim)), {}
    if by == "classes":
        found, told = boundaries.of_classes(model, place, pick_device(device))
        tell(f"the classifier of the classes is right on {told.value:.1%} of real pictures it did not learn from")
        return found, {"classifier": estimate(told)}
    if by in boundaries.ATTRIBUTES:
        return boundaries.of_attribute(model, by), {}
    if suffix == ".csv":
        return boundaries.of_table(model, Path(by), seed), {}
    if suffix == ".npz":
        return directions.read(model.from_noise.z_dim, by), {}
    raise SettingError(
        f"by={by}: there is sefa, pca, classes, {', '.join(boundaries.ATTRIBUTES)}, a .csv of samples and labels, and "
        "an .npz of directions"
    )
