"""Files as pictures, each a picture of its own."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO

from PIL import Image

from sparring.data.decode import identify
from sparring.data.sources import Files, Open, Opener, Source


@contextmanager
def picture_in(file: Opener[BinaryIO]) -> Iterator[Image.Image]:
    """The picture in a file. Raises: as `identify`."""
    with file() as stream:
        yield identify(stream)


def pictures_in(files: Files) -> Source:
    """The files as a source of pictures."""

    @contextmanager
    def openings() -> Iterator[Iterable[Open]]:
        with files.groups([[number] for number in range(len(files.names))]) as groups:
            yield (partial(picture_in, file) for (file,) in groups)

    return Source(files.name, files.names, openings, files.digest, files.skipped, files.others)
