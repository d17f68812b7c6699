import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparring.data import archives, check, load
from sparring.data.opening import open_source
from sparring.errors import DataError

COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, f"set/{file.relative_to(folder).as_posix()}")
    return path


def tarred(folder: Path, path: Path) -> Path:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(folder, "./set")
    compress = COMPRESS.get(path.suffix, bytes)
    path.write_bytes(compress(stream.getvalue()))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_an_archive_gives_what_its_folder_gives(pictures: Path, tmp_path: Path, name: str) -> None:
    (pictures / "notes.txt").write_text("text")
    path = (zipped if name.endswith("zip") else tarred)(pictures, tmp_path / name)
    plain = load(pictures, resolution=(12, 16), labels=True)
    packed = load(path, resolution=(12, 16), labels=True)
    assert np.array_equal(packed.images, plain.images)
    assert packed.classes == plain.classes == ("cat", "dog")
    assert packed.labels is not None
    assert packed.labels.tolist() == [0] * 4 + [1] * 6
    assert open_source(path).others == 1


def test_nothing_leaves_a_zip(pictures: Path, tmp_path: Path) -> None:
    burrow = tmp_path / "a/b/c/d"
    burrow.mkdir(parents=True)
    path = zipped(pictures, burrow / "slip.zip")
    content = (pictures / "cat/0.png").read_bytes()
    bad = ["../escaped.png", "../../../escaped.png", "in/../../escaped.png", "/escaped.png", "C:\\escaped.png"]
    with zipfile.ZipFile(path, "a") as archive:
        for name in [*bad, "..\\escaped.png"]:
            archive.writestr(name, content)
    before = sorted(tmp_path.rglob("*"))
    report = check(path)
    load(path, resolution=(8, 8))
    assert report["used"] == 10
    assert [each["reason"] for each in report["skipped"]] == ["its path points outside the archive"] * 6
    assert sorted(tmp_path.rglob("*")) == before


def test_links_and_devices_in_a_tar_are_listed(pictures: Path, tmp_path: Path) -> None:
    path = tarred(pictures, tmp_path / "a.tar")
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("soft.png", tarfile.SYMTYPE),
            ("hard.png", tarfile.LNKTYPE),
            ("pipe.png", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        archive.addfile(tarfile.TarInfo("../up.png"))
    report = check(path)
    assert report["used"] == 10
    assert {each["path"]: each["reason"] for each in report["skipped"]} == {
        "soft.png": "a link",
        "hard.png": "a link",
        "pipe.png": "not a regular file",
        "../up.png": "its path points outside the archive",
    }


def test_links_and_encrypted_members_of_a_zip_are_listed(pictures: Path, tmp_path: Path) -> None:
    path = zipped(pictures, tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret.png", b"x" * 100)
    content = bytearray(path.read_bytes())
    content[content.rfind(b"PK\x01\x02") + 8] |= 1  # the last member's flag in the list of contents
    path.write_bytes(content)
    found = {each["path"]: each["reason"] for each in check(path)["skipped"]}
    assert found == {"link.png": "a link", "secret.png": "encrypted"}


def test_large_and_damaged_members_are_listed(
    pictures: Path, tmp_path: Path, noise: Callable[..., Image.Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.BytesIO()
    noise(200, 200).save(stream, "BMP")
    (pictures / "large.bmp").write_bytes(stream.getvalue())
    monkeypatch.setattr(archives, "MAX_MEMBER", 100_000)
    path = zipped(pictures, tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[content.find(b"IDAT") + 10] ^= 255
    path.write_bytes(content)
    found = {each["path"]: each["reason"] for each in check(path)["skipped"]}
    assert found["set/large.bmp"] == "too large: 120,054 bytes, limit 100,000"
    assert next(why for name, why in found.items() if name != "set/large.bmp").startswith("damaged in the archive")
    assert len(found) == 2


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_a_damaged_archive_is_refused(pictures: Path, tmp_path: Path, name: str) -> None:
    whole = (zipped if name.endswith("zip") else tarred)(pictures, tmp_path / name).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive at all", bytes(5000)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"not a whole (zip|tar) archive|no picture that can be used"):
            check(tmp_path / name)
