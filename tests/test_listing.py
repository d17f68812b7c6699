"""The table of runs has columns for what its runs were judged by."""

import io

import pytest
from rich.console import Console

from sparring.listing import table


def run(name, **values):
    quality = {"metrics": {metric: {"value": value} for metric, value in values.items()}}
    return {"path": f"runs/{name}", "state": "finished", "data": "photos", "quality": quality}


def shown(*runs):
    out = io.StringIO()
    Console(file=out, width=200).print(table(runs))
    return [line.split() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("runs", "columns"),
    [
        ([run("a", fid=1.5, recall=0.5)], ["fid", "prec.", "recall", "cover."]),
        ([run("b", psnr=27.314, ssim=0.8)], ["psnr", "ssim", "perc."]),
        ([run("a", fid=1.5), run("b", psnr=27.314)], ["fid", "prec.", "recall", "cover.", "psnr", "ssim", "perc."]),
        ([run("t", style=0.3, structure=0.9, transfer=0.45)], ["style", "struct."]),
        ([{"path": "runs/c", "state": "running"}], ["fid", "prec.", "recall", "cover."]),
    ],
)
def test_columns_are_those_of_what_was_measured(runs, columns):
    assert shown(*runs)[0][5:] == columns


def test_restorations_are_shown_with_their_units():
    assert shown(run("b", psnr=27.314, ssim=0.8, perceptual=0.25))[1][-4:] == ["27.31", "dB", "0.8000", "0.2500"]
