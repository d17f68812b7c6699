"""What a judge says: numbers, each with its interval, and the protocol without which they mean nothing."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

from sparring.data.decode import Form
from sparring.errors import MetricError
from sparring.evaluation.catalogue import METRICS
from sparring.evaluation.evidence import Evidence
from sparring.metrics.estimate import Estimate
from sparring.networks.features import Card
from sparring.wording import compact, share

ROUNDING = 1e-9
"""What people see as 0: the distance of a set from itself, in double precision."""

OF_PAPERS = frozenset(["fid", "fid_infinity", "kid", "inception_score", "frame_fid"])
"""Metrics whose numbers people know from papers, where they are taken in the features of Inception."""

PUBLISHED = frozenset(["inception", "inception-clean"])
"""Spaces in which they compare with these."""

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


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Results by the name of their metric, the protocol they hold under, and sentences that people should read."""

    metrics: Mapping[str, Result]
    protocol: Mapping[str, Any]
    notices: Sequence[str] = ()

    def __repr__(self) -> str:
        lines = [
            f"{name:20} {shown(name, result.value):>9}  {_ends(name, result)}" for name, result in self.metrics.items()
        ]
        return "\n".join([*lines, summary(self.protocol), *self.notices])

    def value(self, name: str) -> float:
        """The number of one metric. Raises: KeyError if it was not measured."""
        return self.metrics[name].value

    def result(self, name: str) -> Result:
        """The result of one metric. Raises: MetricError that says why, if it was left out."""
        if name not in self.metrics:
            raise MetricError(f"{name} was not measured: {'; '.join(self.notices) or 'it does not apply here'}")
        return self.metrics[name]

    def to_json(self) -> dict[str, Any]:
        """JSON values: `metrics`, `protocol`, `notices`."""
        return {
            "metrics": {name: result.to_json() for name, result in self.metrics.items()},
            "protocol": dict(self.protocol),
            "notices": list(self.notices),
        }


def protocol_of(
    real: Evidence, fake: Evidence, card: Card | None, form: Form | None, *, k: int, device: str
) -> dict[str, Any]:
    """Everything that the numbers depend on, as JSON values."""
    features: dict[str, Any] = {"name": "as given"} if card is None else asdict(card)
    if real.features is not None:
        features["dimension"] = real.features.shape[1]
    return {
        "features": features,
        "pictures": None if form is None else {**asdict(form), "decoded": "uint8, Lanczos where resized"},
        "k": k,
        "real": real.about,
        "generated": fake.about,
        "device": device,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of what computes the numbers."""
    return {name: metadata.version(name) for name in PACKAGES}


def comparable(protocol: Mapping[str, Any]) -> str:
    """A text that is the same for numbers that compare: of the same space, form, counts and real data."""
    features, pictures, real = protocol["features"], protocol["pictures"], protocol["real"]
    pairs, transfer, texts = protocol.get("pairs") or {}, protocol.get("transfer"), protocol.get("texts")
    parts = {
        "features": {name: features.get(name) for name in ("name", "size", "resize", "digest", "precision")},
        "pictures": pictures,
        "k": protocol["k"],
        "neighbours": protocol.get("neighbours"),
        "real": [real.get(name) for name in ("fingerprint", "count", "split")],
        "generated": protocol["generated"].get("count"),
        "pairs": [pairs.get(name) for name in ("count", "shave")],
        **({"transfer": transfer} if transfer else {}),
        **({"texts": texts} if texts else {}),
        **({"clips": protocol["clips"]} if protocol.get("clips") else {}),
        **({"molecules": protocol["molecules"]} if protocol.get("molecules") else {}),
    }
    return json.dumps(parts, sort_keys=True)


def summary(protocol: Mapping[str, Any]) -> str:
    """The protocol in a line, for people."""
    features, pictures, pairs = protocol["features"], protocol["pictures"], protocol.get("pairs")
    if (transfer := protocol.get("transfer")) is not None:
        height, width = transfer["size"]
        return f"{features['title']}; {transfer['count']:,} photographs of {height}x{width} against as many patches"
    if pairs is not None and protocol["k"] is None:
        return pairs_in_words(pairs)
    if (texts := protocol.get("texts")) is not None:
        return f"{texts_in_words(texts)}; {features['title']}; {_count(protocol['generated'])} generated"
    if (clips := protocol.get("clips")) is not None:
        generated, real = (_count(protocol[side]) for side in ("generated", "real"))
        return f"{features['title']}; {generated} generated clips against {real} real ones; {clips_in_words(clips)}"
    if protocol.get("molecules") is not None:
        generated, real = (_count(protocol[side]) for side in ("generated", "real"))
        return f"{features['title']}; {generated} generated molecules against {real} real ones"
    seen = f"; pictures of {pictures['height']}x{pictures['width']}" if pictures else ""
    generated, real = (_count(protocol[side]) for side in ("generated", "real"))
    beside = f"; {pairs_in_words(pairs)}" if pairs else ""
    title = features.get("title") or "features as given"
    return f"{title}{seen}; {generated} generated against {real} real; k = {protocol['k']}{beside}"


def pairs_in_words(pairs: Mapping[str, Any]) -> str:
    """What metrics of pairs hold under, for people."""
    border = f", {pairs['shave']} pixels of border left out" if pairs["shave"] else ""
    through = f"; {pairs['features']['title']}" if pairs["features"] else ""
    return f"{pairs['count']:,} pair{'s' * (pairs['count'] != 1)} of pictures at their own size{border}{through}"


def clips_in_words(clips: Mapping[str, Any]) -> str:
    """What clips look like when they are compared."""
    return f"{clips['frames']} frames of {clips['height']}x{clips['width']}"


def texts_in_words(texts: Mapping[str, Any]) -> str:
    """What texts are compared with and counted in, for people."""
    unit = {"code": "tokens of Python"}.get(texts["unit"], texts["unit"])
    return f"{texts['training']:,} training texts and {texts['held_out']:,} held-out ones, counted in {unit}"


def _ends(name: str, result: Result) -> str:
    return interval(name, result.estimate.low, result.estimate.high)


def _count(about: Mapping[str, Any]) -> str:
    count = about.get("count")
    return "moments of" if count is None else f"{count:,}"


def space_of(name: str, features: str) -> str:
    """The space that a metric's number is to be read with, lest it be taken for one of papers; mostly empty.

    features: the name of that space, as in a protocol or in the settings.

    >>> space_of("fid", "wavelets"), space_of("fid", "inception"), space_of("recall", "wavelets")
    ('wavelets', '', '')
    """
    space = "features as given" if features == "as given" else features.partition("=")[0]
    return space if name in OF_PAPERS and space not in PUBLISHED else ""


def titled(name: str, protocol: Mapping[str, Any]) -> str:
    """The title of a metric, with the space of its number where that matters."""
    space = space_of(name, (protocol.get("features") or {}).get("name", ""))
    return f"{METRICS[name].title}{f', {space}' if space else ''}"


def shown(name: str, value: float) -> str:
    """A number of a metric as people read it: shares in per cent, ratios in dB."""
    metric = METRICS[name]
    if metric.share:
        return share(value)
    if metric.decimals is not None:
        return f"{value:.{metric.decimals}f} {metric.unit}".rstrip()
    return compact(value) if abs(value) > ROUNDING else "0"


def interval(name: str, low: float | None, high: float | None) -> str:
    """An interval as people read it; a dash where there is none."""
    if low is None or high is None:
        return "-"
    unit = "%" if METRICS[name].share else METRICS[name].unit
    return f"{shown(name, low).removesuffix(f' {unit}')} to {shown(name, high)}"
