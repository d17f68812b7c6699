"""What `examples/serving` says to containers and systemd is what the program takes."""

import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any

import typer

from sparring.cli import app
from sparring.serving.limits import LARGEST_UPLOAD, PATIENCE
from sparring.serving.server import GRACE

FOLDER = Path(__file__).parents[2] / "examples" / "serving"


def understood(arguments: list[str]) -> dict[str, Any]:
    """The options of a command line `sparring serve ...`, as the program reads them."""
    program, command, *rest = arguments
    assert (Path(program).name, command) == ("sparring", "serve")
    group: Any = typer.main.get_command(app)
    options: dict[str, Any] = group.commands["serve"].make_context("serve", rest).params
    return options


def test_the_container_serves_as_nobody_of_importance_and_says_whether_it_is_well() -> None:
    text = (FOLDER / "Containerfile").read_text().replace("\\\n", " ")
    said = dict(line.split(maxsplit=1) for line in text.splitlines() if re.match("[A-Z]", line))
    options = understood(json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"]))
    assert options["places"] == [Path("/runs")]
    assert options["host"] == "0.0.0.0"
    assert str(options["port"]) == said["EXPOSE"]
    assert int(said["USER"].split(":")[0]) > 0
    assert f"http://127.0.0.1:{options['port']}/health" in said["HEALTHCHECK"]
    assert "/whl/cpu" in text


def test_the_unit_has_time_to_end_and_no_rights() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(FOLDER / "sparring.service")
    service = unit["Service"]
    assert understood(shlex.split(service["ExecStart"]))["host"] == "127.0.0.1"
    assert int(service["TimeoutStopSec"]) > GRACE
    assert service["DynamicUser"] == "yes" and service["CapabilityBoundingSet"] == ""


def test_the_proxy_has_the_limits_of_the_server() -> None:
    text = (FOLDER / "nginx.conf").read_text()
    assert f"client_max_body_size {LARGEST_UPLOAD // 2**20}m;" in text
    assert f"client_body_timeout {PATIENCE:g}s;" in text
