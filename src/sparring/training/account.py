"""What the text files of a run folder tell, for people: the report and the doctor read it."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sparring import config
from sparring.config import Settings
from sparring.errors import RunError, SettingError
from sparring.training.files import read_json, read_lines

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Account:
    """What the text files of a run folder tell, empty where there are none.

    settings: as (name, value, meaning), whatever the file holds. changes: those that the guard changed, with their new
    values. complete: all as they were last, changes included; None if they are not known, or no longer valid.
    """

    folder: Path
    summary: Record
    plan: Record
    data: Record
    environment: Record
    settings: Sequence[tuple[str, str, str]]
    measurements: Sequence[Record]
    events: Sequence[Record]
    changes: Record = field(default_factory=dict)
    complete: Settings | None = None

    @classmethod
    def read(cls, folder: Path) -> "Account":
        """Reads a run folder, whatever is missing."""
        changes = _changes(folder)
        return cls(
            folder=folder,
            summary=_json(folder / "summary.json"),
            plan=_json(folder / "plan.json"),
            data=_json(folder / "data.json"),
            environment=_json(folder / "environment.json"),
            settings=_settings(folder / "config.toml"),
            measurements=_json_lines(folder / "metrics.jsonl"),
            events=_json_lines(folder / "events.jsonl"),
            changes=changes,
            complete=_complete(folder / "config.toml", changes),
        )

    @property
    def quality(self) -> Record:
        """Of the generator that was kept; before there is one, of the latest evaluation."""
        evaluations = [
            {"metrics": line["quality"], "images": line.get("images")}
            for line in self.measurements
            if line.get("quality")
        ]
        return self.summary.get("quality") or (evaluations[-1] if evaluations else {})

    def setting(self, name: str) -> str:
        """The value of a setting in text; empty if it is not known."""
        return {known: value for known, value, _ in self.settings}.get(name, "")

    @property
    def minutes(self) -> float | None:
        """The budget; None for one of images, or where the settings are not known."""
        return self.complete.minutes if self.complete else None

    @property
    def deciding(self) -> str:
        """The metric that decides which generator is kept."""
        return str(self.quality.get("metric") or self.setting("quality_metric") or "fid")

    @property
    def through_features(self) -> bool:
        """Whether the discriminator looks through a pretrained network."""
        return self.setting("discriminator_features") not in ("", "none")

    def measured(self, name: str) -> float | None:
        """The number of one metric of the quality; None if it was not measured."""
        result = self.quality.get("metrics", {}).get(name)
        return result["value"] if result else None

    @property
    def vitals(self) -> list[Record]:
        """What the guard saw at each watch; see `training/guard.py`."""
        return [line["vitals"] for line in self.measurements if line.get("vitals")]

    @property
    def skipped(self) -> Sequence[Record]:
        """The files that were not used, with reasons."""
        return self.data.get("skipped") or []

    @property
    def images(self) -> int:
        """Images seen so far."""
        seen = [line["images"] for line in self.measurements if "images" in line]
        return int(self.summary.get("images") or (seen[-1] if seen else 0))

    @property
    def state(self) -> str:
        """As in summary.json."""
        return str(self.summary.get("state", "just begun"))


def _json(path: Path) -> Record:
    try:
        content = read_json(path)
    except RunError:
        return {}
    return content if isinstance(content, dict) else {}


def _json_lines(path: Path) -> list[Record]:
    try:
        return [line for line in read_lines(path) if isinstance(line, dict)]
    except (OSError, ValueError):
        return []


def _settings(path: Path) -> list[tuple[str, str, str]]:
    """The settings of a config.toml as (name, value, meaning)."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    meanings = {name: field.description or "" for name, field in Settings.model_fields.items()}
    return [(name, text_of(value), meanings.get(name, "")) for name, value in values.items()]


def _changes(folder: Path) -> Record:
    """What the newest checkpoint says that the guard changed."""
    newest = max(folder.glob("checkpoints/step-*/state.json"), default=None)
    found = _json(newest).get("changes") if newest else None
    return found if isinstance(found, dict) else {}


def _complete(path: Path, changes: Record) -> Settings | None:
    try:
        return config.complete({**config.load(path).model_dump(), **changes})
    except SettingError:
        return None


def text_of(value: Any) -> str:
    """A value of a JSON or TOML file as people read it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
