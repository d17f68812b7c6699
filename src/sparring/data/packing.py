"""Any set of pictures as WebDataset shards that are all alike.

Each picture goes to a shard drawn by chance, in the order in which the source gives them, so that a set of any size is
read once and never held. Each shard is then mixed by itself.
"""

import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

from PIL import Image
from PIL.ImageFile import ImageFile

from sparring.data import cache
from sparring.data.decode import UnusableError, eight_bit, identify
from sparring.data.opening import open_source
from sparring.data.parallel import each
from sparring.data.shards import INDEX, MOST_SHARDS, Shard, Shards, library, look_at, write_index
from sparring.data.sources import Progress, Skipped
from sparring.data.streaming import permutation
from sparring.data.surveys import class_names
from sparring.errors import DataError, SettingError

ENDINGS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tif"}
"""What a file of each format of Pillow's is called."""


class Packed(TypedDict):
    """The result of `pack`, ready for JSON."""

    path: str
    pictures: int
    shards: int
    bytes: int
    classes: dict[str, int]
    """Pictures of each class."""
    skipped: list[dict[str, str]]
    """Each with `path` and `reason`."""
    fingerprint: str
    """Hexadecimal, of the content."""


def pack(data: str | Path, out: Path, *, per_shard: int = 1000, progress: Progress | None = None) -> Packed:
    """Packs all usable pictures of a set into `out`/00000.tar, 00001.tar, ... with about `per_shard` pictures each.

    Files keep their bytes, arrays become PNG. Classes, where there are any, go into .cls as numbers. The same pictures
    give the same shards, byte for byte.

    Raises: DataError if nothing is usable, or `out` is not empty or cannot be written; nothing is left there then.
    """
    if per_shard < 1:
        raise SettingError(f"size-per-shard {per_shard}: it is at least 1 picture")
    library()
    out = out.absolute()  # else a folder called pipe:... would be taken for a command
    source = open_source(data)
    if not source.items:
        raise source.refuse(source.skipped)
    count = -(-len(source.items) // per_shard)
    if count > MOST_SHARDS:
        raise SettingError(f"size-per-shard {per_shard}: that makes {count:,} shards; at most {MOST_SHARDS:,} are read")
    labels = source.classes(range(len(source.items)))
    classes = {name: number for number, name in enumerate(class_names(labels))}
    shard_of = permutation(len(source.items), "shards") % count
    skipped = list(source.skipped)
    used = Counter[str]()

    def keep(index: int, result: tuple[str, bytes] | UnusableError) -> None:
        if isinstance(result, UnusableError):
            skipped.append(Skipped(source.items[index], str(result)))
            return
        suffix, content = result
        label = labels[index]
        if label is not None:
            used[label] += 1
        about = {"key": f"{index:09d}", "suffix": suffix, "class": None if label is None else classes[label]}
        with (aside / str(shard_of[index])).open("ab") as file:
            file.write(json.dumps({**about, "bytes": len(content)}).encode() + b"\n" + content)

    made: list[Path] = []
    aside = out / ".packing"
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DataError(f"{out}: is there already and not an empty folder; give another one for the shards")
        aside.mkdir(parents=True)
        try:
            each(source, lambda _, picture: _whole(picture), keep, "packing", progress)
            if not any(aside.iterdir()):
                raise source.refuse(skipped)
            shards: list[Shard] = []
            for number in range(count):
                made.append(out / f"{number:05d}.tar")
                _write_shard(aside / str(number), made[-1], number)
                shards.append(look_at(str(made[-1]))[0])
                if progress is not None:
                    progress("writing shards", number + 1, count)
            packed = Shards(str(out), shards, {name: used[name] for name in classes}, skipped)
            write_index(packed, out / INDEX)
        except BaseException:
            for path in made:
                path.unlink(missing_ok=True)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}") from error
    return Packed(
        path=str(out),
        pictures=packed.pictures,
        shards=count,
        bytes=sum(path.stat().st_size for path in made),
        classes=dict(packed.classes),
        skipped=[{"path": entry.path, "reason": entry.reason} for entry in skipped],
        fingerprint=packed.digest(),
    )


def _whole(picture: Image.Image) -> tuple[str, bytes]:
    """The file that a picture is read from, once all of it has been decoded, and its ending; an array's as PNG."""
    if isinstance(picture, ImageFile):
        stream = picture.fp
        assert stream is not None, "only its header was read"
        stream.seek(0)
        content = stream.read()
        eight_bit(identify(io.BytesIO(content)))
        return ENDINGS[picture.format or ""], content
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return "png", buffer.getvalue()


def _write_shard(place: Path, path: Path, number: int) -> None:
    """One shard of what was set aside for it, mixed, written aside and renamed; empty if all of it was skipped."""
    samples = list(_set_aside(place)) if place.exists() else []
    with cache.aside(path) as stream, library().TarWriter(stream, encoder=False, mtime=0) as writer:
        for place_in in permutation(len(samples), "shard", number):
            writer.write(samples[place_in])
    place.unlink(missing_ok=True)


def _set_aside(place: Path) -> Iterator[dict[str, str | bytes]]:
    """Samples as webdataset writes them."""
    with place.open("rb") as file:
        for line in file:
            about = json.loads(line)
            sample: dict[str, str | bytes] = {"__key__": about["key"], about["suffix"]: file.read(about["bytes"])}
            if about["class"] is not None:
                sample["cls"] = str(about["class"]).encode()
            yield sample
