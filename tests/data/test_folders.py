import os
from pathlib import Path

import pytest

from sparring.data.opening import open_source
from sparring.data.sources import Source, classes_by_folder, natural
from sparring.errors import DataError


def reasons(source: Source) -> dict[str, str]:
    return {each.path: each.reason for each in source.skipped}


def test_pictures_are_found_at_any_depth_and_in_natural_order(pictures: Path) -> None:
    (pictures / "cat/deep/deeper").mkdir(parents=True)
    (pictures / "cat/0.png").rename(pictures / "cat/deep/deeper/10.PNG")
    (pictures / "cat/3.png").rename(pictures / "cat/deep/deeper/9.png")
    source = open_source(pictures)
    assert list(source.items[:4]) == ["cat/1.png", "cat/2.png", "cat/deep/deeper/9.png", "cat/deep/deeper/10.PNG"]
    assert len(source.items) == 10
    assert not source.skipped


def test_files_that_are_no_pictures_are_counted_only(pictures: Path) -> None:
    for name in ("page.html", "labels.json", "Thumbs.db", ".DS_Store", "._0.png", "__MACOSX/0.png", ".git/0.png"):
        (pictures / name).parent.mkdir(exist_ok=True)
        (pictures / name).write_bytes(b"")
    source = open_source(pictures)
    assert len(source.items) == 10
    assert source.others == 5  # what is in the system's own folders is not looked at
    assert not source.skipped


def test_links_are_listed_and_never_followed(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes((pictures / "cat/0.png").read_bytes())
    (pictures / "loop").symlink_to(pictures)
    (pictures / "self.png").symlink_to(pictures / "self.png")
    (pictures / "again.png").symlink_to(pictures / "cat/0.png")
    (pictures / "out.png").symlink_to(tmp_path / "outside.png")
    (pictures / "gone.png").symlink_to(tmp_path / "absent.png")
    (pictures / "out").symlink_to(tmp_path)
    source = open_source(pictures)
    assert len(source.items) == 10
    found = reasons(source)
    assert found.pop("self.png")  # in the system's words
    assert found == {
        "loop": "a link to what is in the folder already",
        "again.png": "a link to what is in the folder already",
        "out.png": "a link that points outside the folder",
        "out": "a link that points outside the folder",
        "gone.png": "a link to nothing",
    }


def test_a_link_given_as_the_folder_is_followed(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pictures)
    assert len(open_source(tmp_path / "link").items) == 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_does_not_block(pictures: Path) -> None:
    os.mkfifo(pictures / "pipe.png")
    assert reasons(open_source(pictures)) == {"pipe.png": "not a regular file"}


def test_names_that_no_terminal_can_show(pictures: Path) -> None:
    (pictures / "cat/0.png").rename(pictures / "cat/\x1b[31m\udcff.png")
    (pictures / "cat/1.png").rename(pictures / "cat/日本 語.png")
    items = open_source(pictures).items
    assert "cat/\ufffd[31m\ufffd.png" in items
    assert "cat/日本 語.png" in items
    assert open_source(pictures).digest(None)


def test_what_is_not_there_is_refused_with_the_nearest_name(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or folder.*did you mean .*pictures\?"):
        open_source(tmp_path / "picturs")
    for name in ("digits", "photographs", "texts: python", "molecules: nci", "clips: moving-digits"):
        with pytest.raises(DataError, match=name):
            open_source("nothing-of-the-kind")
    with pytest.raises(DataError, match=r"did you mean moving-digits\?"):
        open_source("moving-digit")
    with pytest.raises(DataError, match=r"did you mean digits\?"):
        open_source("digit")
    with pytest.raises(DataError, match="no such file or folder"):
        open_source(tmp_path / "a/b/c")
    for name in ("", "\0", "x" * 5000, "~nobody-of-this-name/x"):
        with pytest.raises(DataError):
            open_source(name)


def test_what_is_no_set_is_refused(pictures: Path) -> None:
    with pytest.raises(DataError, match=r"not a set of pictures; sets are folders, \.zip"):
        open_source(__file__)
    with pytest.raises(DataError, match="a single picture is no set"):
        open_source(pictures / "cat/0.png")


def test_a_table_that_does_not_say_what_it_is_may_hold_molecules(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("id;structure\n1;CCO\n", encoding="utf-8")
    with pytest.raises(DataError, match="call the column smiles, or say --task molecules"):
        open_source(tmp_path / "list.csv")


def test_classes_are_the_first_folders_below_the_common_ones() -> None:
    assert classes_by_folder(["cat/1.png", "dog/big/2.png", "3.png"]) == ["cat", "dog", None]
    assert classes_by_folder(["set/train/cat/1.png", "set/train/dog/2.png"]) == ["cat", "dog"]
    assert classes_by_folder(["set/1.png", "set/2.png"]) == [None, None]
    assert classes_by_folder([]) == []


def test_natural_order() -> None:
    assert sorted(["s10", "s2", "s1", "10", "9", "a", "²"], key=natural) == ["9", "10", "a", "s1", "s2", "s10", "²"]
