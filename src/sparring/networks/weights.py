"""Where the weights of pretrained networks come from: found on the disk, or downloaded once and checked."""

import hashlib
import logging
import os
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sparring.data import cache
from sparring.errors import MetricError

TIMEOUT = 10
"""Seconds that a connection, or a pause within a download, may last."""

CHUNK = 1 << 20


@dataclass(frozen=True)
class Check:
    """What is known of a file's content: SHA-256, or how it begins, and SHA-1, hexadecimal; empty: anything goes."""

    sha256: str = ""
    sha1: str = ""


@dataclass(frozen=True)
class Weights:
    """The tensors of a checked file by name, and the file's SHA-256."""

    tensors: dict[str, Tensor]
    digest: str


def folder() -> Path:
    """Where downloaded weights are kept."""
    return cache.folder() / "weights"


def find(file_name: str, check: Check, url: str) -> Path:
    """The path of a file of weights: in `folder()`, among those of torch.hub, or downloaded from `url` to `folder()`.

    A file found is not read; `load` checks it. A download is checked before it takes its name.

    Raises: MetricError if the file is nowhere and cannot be downloaded, or what comes down is something else.
    """
    for place in (folder(), Path(torch.hub.get_dir()) / "checkpoints"):
        if (place / file_name).is_file():
            return place / file_name
    return _download(folder() / file_name, check, url)


def load(path: Path, check: Check) -> Weights:
    """Reads a file of named tensors, made by `torch.save`; nothing in it is executed.

    Raises: MetricError if the file is missing, damaged, another than `check` says, or holds anything but tensors.
    """
    try:
        digest = verified(path, check)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise MetricError(f"{path}: cannot be read: {error.strerror or error}") from error
    except MetricError:
        raise
    except Exception as error:  # on bytes that are no file of its own, torch.load raises whatever it stumbles over
        raise MetricError(f"{path}: not a file of PyTorch weights, or damaged") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise MetricError(f"{path}: not a file of weights by name")
    return Weights({str(name): value for name, value in content.items()}, digest)


def verified(path: Path, check: Check) -> str:
    """The SHA-256 of a file that is the one expected.

    Raises: MetricError if it is another; OSError if it cannot be read.
    """
    sha256, sha1 = hashlib.sha256(), hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            sha256.update(chunk)
            if check.sha1:
                sha1.update(chunk)
    for name, expected, got in (("SHA-256", check.sha256, sha256.hexdigest()), ("SHA-1", check.sha1, sha1.hexdigest())):
        if not got.startswith(expected):
            raise MetricError(
                f"{path}: not the file expected, or damaged: its {name} is {got}, expected {expected}"
                f"{'...' * (len(expected) < len(got))}; remove it and fetch it again"
            )
    return sha256.hexdigest()


def fill(network: nn.Module, tensors: Mapping[str, Tensor], what: str) -> None:
    """Gives a network, whose parts may be on the meta device, the tensors of a file of `what`.

    Raises: MetricError unless all names and shapes fit, saying what does not.
    """
    try:
        network.load_state_dict(dict(tensors), strict=True, assign=True)
    except RuntimeError as error:  # its first line names the class, the others what does not fit
        _, _, details = str(error).partition("\n")
        first = " ".join(details.split())
        raise MetricError(f"not weights of {what}: {first[:300]}{'...' * (len(first) > 300)}") from error


def _download(path: Path, check: Check, url: str) -> Path:
    by_hand = (
        f"download {url} with a machine that has a network, and put it at {path}, or say where it lies, as NAME=FILE"
    )
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        part = Path(name)
        with os.fdopen(descriptor, "wb") as stream, urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            expected = answer.headers.get("Content-Length")
            size = f", {int(expected) / 1e6:,.0f} MB" if expected else ""
            logging.getLogger("sparring").warning("downloading %s%s, once, to %s", url, size, path.parent)
            while chunk := answer.read(CHUNK):
                stream.write(chunk)
            if expected is not None and stream.tell() != int(expected):
                raise OSError(f"the connection ended after {stream.tell()} of {expected} bytes")
        try:
            verified(part, check)
        except MetricError as error:
            raise MetricError(f"{url}: what came down is not {path.name} as published; {by_hand}") from error
        part.replace(path)
        return path
    except (OSError, ValueError) as error:  # urllib.error.URLError is an OSError
        reason = str(error).removeprefix("<urlopen error ").removesuffix(">")
        raise MetricError(f"{path.name} is not here and cannot be downloaded ({reason}); {by_hand}") from error
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
