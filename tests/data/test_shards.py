"""Shards of anybody's: patterns, commands, classes, and what can be wrong with them."""

import io
import json
import shlex
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sparring import data
from sparring.data import shards
from sparring.data.decode import Form
from sparring.errors import DataError

pytest.importorskip("webdataset")

FORM = Form(5, 5, 3)


def picture(value: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (5, 5), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def pattern(tmp_path: Path) -> str:
    """Three shards of four pictures, values 0 to 11, whose class is in .cls: even or odd."""
    for number in range(3):
        members = {}
        for value in range(4 * number, 4 * number + 4):
            members[f"{value:03d}.png"] = picture(value)
            members[f"{value:03d}.cls"] = b"even\n" if value % 2 == 0 else b"odd\n"
        write(tmp_path / f"{number}.tar", members)
    return str(tmp_path / "{0..2}.tar")


def found(place: Any) -> shards.Shards:
    looked = shards.find(place)
    assert looked is not None
    return looked


def test_a_pattern_stands_for_shards_with_the_classes_that_cls_names(pattern: str) -> None:
    looked = found(pattern)
    assert ([shard.pictures for shard in looked.shards], looked.classes) == ([4, 4, 4], {"even": 6, "odd": 6})
    pictures = data.load(pattern, resolution=(5, 5), labels=True)
    assert pictures.labels is not None
    assert pictures.labels.tolist() == [value % 2 for value in range(12)]
    assert pictures.images[:, 0, 0, 0].tolist() == list(range(12))
    assert data.survey(pattern).pictures == 12
    assert data.check(pattern)["classes"] == {"even": 6, "odd": 6}


def test_the_output_of_commands_is_the_same_set(pattern: str, tmp_path: Path) -> None:
    commands = f"pipe:cat {shlex.quote(str(tmp_path))}/{{0..2}}.tar"
    assert found(commands).digest() == found(pattern).digest()
    assert found(f"{commands} | sed 's/\\(x\\)/\\1/'").digest() == found(pattern).digest()  # a backslash is the shell's
    piped = data.stream(commands, FORM, buffer=5)
    filed = data.stream(pattern, FORM, buffer=5)
    for position in range(0, 36, 4):
        assert piped.draw(0, position, 4).images.equal(filed.draw(0, position, 4).images)
    piped.close()
    filed.close()


def test_classes_come_out_of_json_too(tmp_path: Path) -> None:
    members = {}
    for number, about in enumerate((b'{"label": 10, "text": "a"}', b'{"label": 9}', b'{"other": 1}', b"[broken")):
        members |= {f"{number}.png": picture(number), f"{number}.json": about}
    write(tmp_path / "0.tar", members)
    assert found(str(tmp_path / "{0..0}.tar")).classes == {"9": 1, "10": 1}


def test_other_files_are_left_alone_and_what_is_no_picture_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.data.shards.MAX_MEMBER", 500)
    members = {"readme.txt": b"x", "a/1.mp4": bytes(9999), "a/1.png": picture(1), "a/1.txt": b"a caption"}
    members |= {"._2.png": b"x", "2.jpg": b"no picture", "3.png": b"", "4.png": bytes(501), "5.png": picture(5)}
    members["6.image.PNG"] = picture(6)
    write(tmp_path / "0.tar.gz", members, "w:gz")
    looked = found(str(tmp_path / "{0..0}.tar.gz"))
    assert [sample.name for sample in looked.samples(0)] == [
        *("0.tar.gz/a/1.png", "0.tar.gz/5.png", "0.tar.gz/6.image.png")
    ]
    assert [(each.path.split("/")[1], each.reason.split(":")[0]) for each in looked.skipped] == [
        *(("2.jpg", "not a picture"), ("3.png", "empty file"), ("4.png", "too large"))
    ]
    assert [each.path for each in data.load(str(tmp_path / "{0..0}.tar.gz"), resolution=(5, 5)).skipped] == [
        each.path for each in looked.skipped
    ]


def test_looking_through_is_remembered_until_a_file_changes(
    pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, looked_at = shards.look_at, []

    def counted(place: str) -> Any:
        looked_at.append(place)
        return look(place)

    monkeypatch.setattr("sparring.data.shards.look_at", counted)
    assert found(pattern) == found(pattern)
    assert len(looked_at) == 3
    write(tmp_path / "1.tar", {"x.png": picture(99)})
    assert found(pattern).pictures == 9
    assert len(looked_at) == 6


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1700])


def twice(path: Path) -> None:
    write(path, {"a.png": picture()})
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("a.png")
        archive.addfile(member, io.BytesIO(b""))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, r"1.tar: there is no such shard"),
        (cut, r"1.tar: not a whole tar archive \(unexpected end of data\); copy or download it again"),
        (lambda path: path.write_bytes(b"<html>404</html>" * 99), r"1.tar: not a whole tar archive"),
        (lambda path: path.write_bytes(b""), r"1.tar: not a whole tar archive \(empty file\)"),
        (twice, r"1.tar: not in the layout of WebDataset \(a.png: duplicate file name"),
    ],
    ids=["missing", "cut", "a web page", "empty", "twice the same"],
)
def test_a_shard_that_cannot_be_read_is_said_in_a_sentence(
    pattern: str, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(tmp_path / "1.tar")
    with pytest.raises(DataError, match=words):
        shards.find(pattern)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exit 22", "the command ended with status 22"),
        ("cat {0}; exit 3", "the command ended with status 3"),
        ("head -c 1700 {0}", "not a whole tar archive"),
        ("head -c 1700 {0}; exit 4", "the command ended with status 4"),
        ("no-such-command-anywhere 2>&-", "the command ended with status 127"),
    ],
)
def test_a_command_that_fails_is_said_in_a_sentence(pattern: str, tmp_path: Path, command: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        shards.find("pipe:" + command.format(shlex.quote(str(tmp_path / "1.tar"))))


def test_a_command_is_left_when_enough_is_read(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", {f"{number}.png": picture(number) for number in range(9)})
    endless = f"pipe:cat {shlex.quote(str(tmp_path / '0.tar'))}; cat /dev/zero"
    samples = shards.read(endless)
    assert isinstance(next(samples), shards.Sample)
    samples.close()  # type: ignore[attr-defined]


def test_patterns_that_stand_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.shards.MOST_SHARDS", 10)
    with pytest.raises(DataError, match="more than 10 shards"):
        shards.find("a-{000..010}.tar")
    with pytest.raises(DataError, match=r"no such shard; .* is given as 'pipe:curl -sfL URL'"):
        shards.find("https://example.org/{0..1}.tar")
    with pytest.raises(DataError, match="braces do not match"):
        shards.find("a-{000..010.tar")
    write(tmp_path / "0.tar", {"a.txt": b"nothing", "b.png": b"nothing"})
    with pytest.raises(DataError, match=r"no picture that can be used \(1 file, 1 skipped: 0.tar/b.png"):
        shards.find(str(tmp_path / "{0..0}.tar"))


def test_an_index_names_no_other_places(pattern: str, tmp_path: Path) -> None:
    """It may come with a download: it must not make commands run or other files be read."""
    data.pack(pattern, tmp_path / "packed", per_shard=6)
    index = tmp_path / "packed/index.json"
    values = json.loads(index.read_text())
    values["shards"][0]["place"] = f"pipe:touch {tmp_path}/harm"
    index.write_text(json.dumps(values))
    with pytest.raises(DataError, match="there is no such shard"):
        shards.find(tmp_path / "packed")
    assert not (tmp_path / "harm").exists()
    index.write_text(index.read_text()[:-20].replace('"classes"', '"klasses"') + "]}")
    with pytest.raises(DataError, match="damaged"):
        shards.find(tmp_path / "packed")


def test_a_packed_shard_that_was_not_copied_whole_is_known_before_it_is_read(pattern: str, tmp_path: Path) -> None:
    data.pack(pattern, tmp_path / "packed", per_shard=6)
    index, shard = tmp_path / "packed/index.json", tmp_path / "packed/00001.tar"
    values = json.loads(index.read_text())
    values["shards"][0]["pictures"] = 10**12
    index.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"00000.tar: is of [0-9,]+ bytes, and .*index.json says otherwise"):
        shards.find(tmp_path / "packed")
    values["shards"][0]["pictures"] = 6
    index.write_text(json.dumps(values))
    cut(shard)
    with pytest.raises(DataError, match=r"00001.tar: is of 1,700 bytes"):
        shards.find(tmp_path / "packed")


def test_classes_that_an_index_lacks(pattern: str, tmp_path: Path) -> None:
    data.pack(pattern, tmp_path / "packed", per_shard=6)
    index = tmp_path / "packed/index.json"
    index.write_text(index.read_text().replace('"odd": 6', '"even": 6'))
    with pytest.raises(DataError, match=r"is of class 1, which index.json lacks"):
        data.load(tmp_path / "packed", resolution=(5, 5))


def test_no_pattern_expands_to_a_command(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern may come out of a config.toml of somebody's, and none is run because a file says so."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no such shard"):
        shards.find("{pipe:touch done;cat ,}{0..2}.tar")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("harm", ["flip", "cut", "end"])
def test_a_shard_that_is_damaged_between_two_files_is_not_taken_for_a_short_one(tmp_path: Path, harm: str) -> None:
    place = write(tmp_path / "0.tar", {f"{number}.png": picture(number) for number in range(4)})
    content = bytearray(place.read_bytes())
    header = 2 * 1024  # of the third file: each takes a block of 512 bytes besides its own
    assert content[header : header + 5] == b"2.png"
    if harm == "flip":
        content[header] ^= 1
    place.write_bytes(content[: {"flip": len(content), "cut": header + 100, "end": header}[harm]])
    with pytest.raises(DataError, match="not a whole tar archive"):
        shards.find(str(tmp_path / "{0..0}.tar"))


def test_a_command_gives_one_shard(tmp_path: Path) -> None:
    place = shlex.quote(str(write(tmp_path / "0.tar", {"0.png": picture()})))
    with pytest.raises(DataError, match="more follows after the end of the archive"):
        shards.find(f"pipe:cat {place} {place}")


def test_of_a_sample_one_file_of_a_kind_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparring.data.shards.MAX_ABOUT", 10)
    members = {"0.png": picture(1), "0.b.png": picture(2), "0.cls": bytes(11), "0.json": b'{"label":3}'[:10]}
    write(tmp_path / "0.tar", members)
    read = list(shards.read(str(tmp_path / "0.tar")))
    assert [(sample.name, sample.content) for sample in read if isinstance(sample, shards.Sample)] == [
        ("0.tar/0.png", picture(1))
    ]


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text[:60],
        lambda text: text.replace('"pictures": 4', '"pictures": Infinity'),
        lambda text: text.replace('"even": 6', '"even": Infinity'),
        lambda text: text.replace('"even": 6', '"even": 100000'),
        lambda text: text.replace('"classes": {', '"classes": [], "others": {'),
        lambda text: "[" * 10**5,
    ],
)
def test_a_damaged_index_is_said_in_a_sentence(pattern: str, tmp_path: Path, harm: Callable[[str], str]) -> None:
    index = tmp_path / "index.json"
    shards.write_index(found(pattern), index)
    assert found(tmp_path).pictures == 12
    index.write_text(harm(index.read_text()))
    with pytest.raises(DataError, match=r"index\.json: damaged; copy it again"):
        shards.find(tmp_path)


def test_a_pattern_of_too_many_is_refused_at_once() -> None:
    with pytest.raises(DataError, match="stands for more than 1,000,000 shards"):
        shards.find("{1..99999999999}.tar")
