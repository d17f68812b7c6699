"""From a place with pictures to `Pictures`: look, decode on all cores or take what was kept, and put together."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.data import cache, memory
from sparring.data.decode import MODES, VERSION, Fit, Form, UnusableError, pixels
from sparring.data.opening import open_source
from sparring.data.parallel import each
from sparring.data.pictures import Pictures
from sparring.data.sources import Place, Progress, Skipped, Source
from sparring.data.surveys import class_names, survey_source
from sparring.errors import DataError, SettingError


def load(
    data: str | Path,
    *,
    resolution: tuple[int, int],
    fit: Fit = "crop",
    channels: Literal[1, 3, 4] | None = None,
    labels: bool = False,
    progress: Progress | None = None,
) -> Pictures:
    """All usable pictures of a set, decoded.

    data: a folder, archive, array file, or the name of an embedded set.
    resolution: height and width in pixels.
    fit: what becomes of other proportions: "crop" fills the picture and cuts off evenly what sticks out, "pad" fits it
        in whole and fills up with the colour of its edges, "stretch" distorts.
    channels: 1 grey, 3 RGB, 4 RGBA; None lets a survey of the headers choose.
    labels: take the folder that a picture is in (or the `labels` of an .npz file) as its class.
    progress: told of "reading" (the content, to see whether it is known) and "decoding".

    The decoded pictures are kept in the cache folder (see `cache.folder`) under their fingerprint. They come in memory
    if they fit into a quarter of it, else memory-mapped.

    Raises: DataError if nothing is usable, or labels are wanted and there are none. SettingError on a bad setting.
    """
    height, width = resolution
    if height < 1 or width < 1:
        raise SettingError(f"resolution {height}x{width}: height and width are at least 1")
    if fit not in ("crop", "pad", "stretch"):
        raise SettingError(f"fit {fit!r}: it is crop, pad or stretch")
    if channels is not None and channels not in MODES:
        raise SettingError(f"channels {channels}: it is 1 (grey), 3 (RGB) or 4 (RGBA)")
    source = open_source(data)
    if not source.items:
        raise source.refuse(source.skipped)
    if channels is None:
        channels = survey_source(source).channels()
    return decoded(source, Form(height, width, channels, fit), labels=labels, progress=progress)


def decoded(source: Source, form: Form, *, labels: bool = False, progress: Progress | None = None) -> Pictures:
    """All usable pictures of a source in one form; `load` says more.

    Raises: DataError.
    """
    known = fingerprint_of(source.digest(progress), form)
    notices: list[str] = []
    kept = cache.find(known) if source.cached else None
    if kept is None:
        kept = _decode(source, form, known, notices, progress)
    used = [index for index in range(len(source.items)) if index not in kept.skipped]
    names, found = class_labels(source, used) if labels else ((), None)
    return Pictures(
        images=torch.from_numpy(kept.images),
        labels=found,
        classes=names,
        name=source.name,
        fingerprint=known,
        skipped=all_skipped(source, kept.skipped),
        names=tuple(source.items[index] for index in used),
        notices=tuple(notices),
    )


def fingerprint(data: str | Path, form: Form) -> str:
    """What `load` would give as the fingerprint of these pictures in that form, without decoding them.

    Raises: DataError if there is nothing usable.
    """
    return fingerprint_of(open_source(data).digest(None), form)


def fingerprint_of(content: str, form: Form) -> str:
    """The fingerprint of pictures with that digest of their content, in that form."""
    return hashlib.blake2b(f"{content} {form} {VERSION}".encode(), digest_size=16).hexdigest()


def _decode(
    source: Source, form: Form, fingerprint: str, notices: list[str], progress: Progress | None
) -> cache.Decoded:
    """Decodes everything, into memory if it fits, else into the cache without ever holding all of it."""
    shape = (form.channels, form.height, form.width)
    if memory.fits(len(source.items) * int(np.prod(shape))):
        decoded = _decode_into_memory(source, form, progress)
        if source.cached:
            try:
                with cache.keeping(fingerprint, shape, decoded.skipped) as writer:
                    writer.add(decoded.images)
            except OSError as error:
                notices.append(
                    f"the decoded pictures cannot be kept in {cache.folder()}: {error.strerror or error}; the next "
                    "start decodes them again, unless the variable SPARRING_CACHE names another folder"
                )
        return decoded
    try:
        skipped: dict[int, str] = {}
        with cache.keeping(fingerprint, shape, skipped) as writer:
            _decode_each(source, form, lambda _, image: writer.add(image), skipped, progress)
    except OSError as error:
        raise DataError(
            f"{source.name}: the decoded pictures do not fit into memory, and cannot be kept in {cache.folder()}: "
            f"{error.strerror or error}; let the variable SPARRING_CACHE name a folder with more room"
        ) from error
    kept = cache.find(fingerprint)
    if kept is None:
        raise DataError(f"{cache.folder()}: what was just written there cannot be read again; is the disk sound?")
    return kept


def _decode_into_memory(source: Source, form: Form, progress: Progress | None) -> cache.Decoded:
    images = np.empty((len(source.items), form.channels, form.height, form.width), np.uint8)
    skipped: dict[int, str] = {}

    def put(place: int, image: NDArray[np.uint8]) -> None:
        images[place] = image

    used = _decode_each(source, form, put, skipped, progress)
    return cache.Decoded(images[:used], skipped)


def _decode_each(
    source: Source,
    form: Form,
    put: Callable[[int, NDArray[np.uint8]], None],
    skipped: dict[int, str],
    progress: Progress | None,
) -> int:
    """Calls put(0, image), put(1, image), ... with the usable pictures, fills `skipped`; gives how many are used."""
    used = 0

    def keep(index: int, result: NDArray[np.uint8] | UnusableError) -> None:
        nonlocal used
        if isinstance(result, UnusableError):
            skipped[index] = str(result)
        else:
            put(used, result)
            used += 1

    each(source, lambda _, picture: pixels(picture, form), keep, "decoding", progress)
    if used == 0:
        raise source.refuse(all_skipped(source, skipped))
    return used


def all_skipped(source: Place[Any], while_decoding: Mapping[int, str]) -> tuple[Skipped, ...]:
    """What was skipped before anything was decoded, and then."""
    return (*source.skipped, *(Skipped(source.items[index], why) for index, why in while_decoding.items()))


def class_labels(source: Place[Any], used: list[int]) -> tuple[tuple[str, ...], Tensor]:
    """Class names, and the label of each used item, int64 (N,).

    Raises: DataError if not every used item is in a class.
    """
    labels = source.classes(used)
    names = class_names(labels)
    things = f"{source.thing.noun}s"
    if not names:
        raise DataError(
            f"{source.name}: labels are wanted, but the {things} are not sorted into folders; make one folder for each "
            "class (or give an .npz file with `labels`, or shards with .cls), or train without labels"
        )
    strays = [source.items[index] for index, label in zip(used, labels, strict=True) if label is None]
    if strays:
        raise DataError(
            f"{source.name}: labels are wanted, but {len(strays)} of {len(used)} {things} are in no class folder, for "
            f"instance {strays[0]}; move them into one, or train without labels"
        )
    place = {name: label for label, name in enumerate(names)}
    return names, torch.tensor([place[label] for label in labels if label is not None], dtype=torch.int64)
