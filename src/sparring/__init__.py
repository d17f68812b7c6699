"""Train, judge and use generative adversarial networks.

    import sparring

    run = sparring.train("photos/", out="runs/photos")
    pictures = sparring.load(run).sample(16)  # uint8 (16, C, H, W)
    quality = sparring.evaluate(run, run)  # its training data against its samples
    quality.value("fid")

`train` and `resume` return a `Run`, the folder with everything; `load` and `pull` give a `Model`, `evaluate` an
`Evaluation`. What a person can put right is a `SparringError`. Names are imported when they are first used, since torch
takes its time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.api import load, pull, resume, train, tune
    from sparring.errors import DataError, MetricError, RunError, SettingError, SparringError
    from sparring.evaluation.evaluator import evaluate
    from sparring.evaluation.judgement import Evaluation
    from sparring.model import Model
    from sparring.training.run import Run

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "Evaluation",
    "MetricError",
    "Model",
    "Run",
    "RunError",
    "SettingError",
    "SparringError",
    "evaluate",
    "load",
    "pull",
    "resume",
    "train",
    "tune",
]

_HOMES = {
    "train": "sparring.api",
    "resume": "sparring.api",
    "tune": "sparring.api",
    "load": "sparring.api",
    "pull": "sparring.api",
    "evaluate": "sparring.evaluation.evaluator",
    "Evaluation": "sparring.evaluation.judgement",
    "Model": "sparring.model",
    "Run": "sparring.training.run",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'sparring' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "sparring.errors")), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
