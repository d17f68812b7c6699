"""What a judge says: numbers, each with its interval, and the protocol without which they mean nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from sparring.data.decode import Form
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.evidence import Evidence
from sparring.metrics.estimate import Estimate
from sparring.networks.features import Card
from sparring.wording import compact, share

PACKAGES = ("sparring", "torch", "numpy", "Pillow")


@dataclass(frozen=True)
class Result:
    """One measured number. extra: what stands beside it, such as `standard_error`, or `real` for the real side's
    own."""

    estimate: Estimate
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The number itself."""
        return self.estimate.value

    def to_json(self) -> dict[str, float | None]:
        """value, low and high, and what stands beside."""
        return {"value": self.estimate.value, "low": self.estimate.low, "high": self.estimate.high, **self.extra}


@dataclass(frozen=True)
class Evaluation:
    """Results by the name of their metric, the protocol they hold under, and sentences that people should read."""

    metrics: Mapping[str, Result]
    protocol: Mapping[str, Any]
    notices: Sequence[str] = ()

    def value(self, name: str) -> float:
        """The number of one metric. Raises: KeyError if it was not measured."""
        return self.metrics[name].value

    def to_json(self) -> dict[str, Any]:
        """JSON values: `metrics`, `protocol`, `notices`."""
        return {
            "metrics": {name: result.to_json() for name, result in self.metrics.items()},
            "protocol": dict(self.protocol),
            "notices": list(self.notices),
        }


def protocol_of(
    real: Evidence, fake: Evidence, card: Card | None, form: Form | None, *, k: int, most: int, device: str
) -> dict[str, Any]:
    """Everything that the numbers depend on, as JSON values."""
    counted = [None if side.features is None else min(len(side.features), most) for side in (real, fake)]
    return {
        "features": {"name": "as given"} if card is None else asdict(card),
        "pictures": None if form is None else {**asdict(form), "decoded": "uint8, Lanczos where resized"},
        "k": k,
        "paired": {"real": counted[0], "generated": counted[1]},
        "real": real.about,
        "generated": fake.about,
        "device": device,
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }


def comparable(protocol: Mapping[str, Any]) -> str:
    """A text that is the same for numbers that compare: of the same space, form, counts and real data."""
    features, pictures, real = protocol["features"], protocol["pictures"], protocol["real"]
    parts = {
        "features": {name: features.get(name) for name in ("name", "size", "resize", "digest", "precision")},
        "pictures": pictures,
        "k": protocol["k"],
        "paired": protocol["paired"],
        "real": [real.get(name) for name in ("fingerprint", "count", "split")],
        "generated": protocol["generated"].get("count"),
    }
    return json.dumps(parts, sort_keys=True)


def summary(protocol: Mapping[str, Any]) -> str:
    """The protocol in a line, for people."""
    features, pictures = protocol["features"], protocol["pictures"]
    seen = f"; pictures of {pictures['height']}x{pictures['width']}" if pictures else ""
    generated, real = (_count(protocol[side]) for side in ("generated", "real"))
    title = features.get("title") or "features as given"
    return f"{title}{seen}; {generated} generated against {real} real; k = {protocol['k']}"


def _count(about: Mapping[str, Any]) -> str:
    count = about.get("count")
    return "moments of" if count is None else f"{count:,}"


def shown(name: str, value: float) -> str:
    """A number of a metric as people read it: shares in per cent."""
    return share(value) if METRICS[name].share else compact(value)


def interval(name: str, low: float | None, high: float | None) -> str:
    """An interval as people read it; a dash where there is none."""
    if low is None or high is None:
        return "-"
    if METRICS[name].share:
        return f"{share(low).removesuffix(' %')} to {share(high)}"
    return f"{compact(low)} to {compact(high)}"
