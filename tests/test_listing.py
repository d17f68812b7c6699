"""The table of runs has columns for what its runs were judged by."""

import io

import pytest
from rich.console import Console

from sparring.listing import table


def run(name, **values):
    quality = {"metrics": {metric: {"value": value} for metric, value in values.items()}}
    return {"path": f"runs/{name}", "task": "generate", "state": "finished", "data": "photos", "quality": quality}


def shown(*runs, width=200):
    out = io.StringIO()
    Console(file=out, width=width).print(table(runs))
    return [line.split() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("runs", "columns"),
    [
        ([run("a", fid=1.5, recall=0.5)], ["fid", "recall"]),
        ([run("b", psnr=27.314, ssim=0.8)], ["psnr", "ssim"]),
        ([run("a", fid=1.5), run("b", psnr=27.314)], ["fid", "psnr"]),
        ([run("t", style=0.3, structure=0.9, transfer=0.45)], ["style", "struct."]),
        ([{"path": "runs/c", "state": "running"}], ["fid", "prec.", "recall", "cover."]),
    ],
)
def test_columns_are_those_of_what_was_measured(runs, columns):
    assert shown(*runs)[0][5:] == columns


def test_the_space_of_a_distance_is_named_even_where_all_runs_have_the_same():
    features = {"name": "wavelets", "title": "oriented wavelets"}
    sides = {"real": {"count": 90}, "generated": {"count": 100}}
    judged = run("a", fid=1.5)
    judged["quality"]["protocol"] = {"features": features, "pictures": None, "k": 5, **sides}
    found = [" ".join(line) for line in shown(judged)]
    assert found[-1].startswith("protocol: photos; oriented wavelets; 100 generated against 90 real")
    assert "prot." not in found[0]


def test_restorations_are_shown_with_their_units():
    assert shown(run("b", psnr=27.314, ssim=0.8, perceptual=0.25))[1][-4:] == ["27.31", "dB", "0.8000", "0.2500"]


def test_each_task_has_its_table_and_names_of_runs_are_never_cut():
    poems, photographs = run("poems-of-the-tang", bleu3=0.5, self_bleu3=0.4), run("landscapes", fid=0.5)
    found = shown(photographs, poems | {"task": "text"}, width=72)
    assert [line[0] for line in found if line] == ["task", "run", "landscapes", "task", "run", "poems-of-the-tang"]
    assert "bleu3" not in found[1] and "images" in found[1]
    assert "bleu3" in found[5] and "texts" in found[5] and "images" not in found[5]
