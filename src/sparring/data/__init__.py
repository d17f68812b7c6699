"""Pictures of any kind, from wherever they lie, to one uint8 tensor and batches of it."""

from sparring.data.embedded import EMBEDDED
from sparring.data.loading import fingerprint, load
from sparring.data.pictures import Batch, Pictures, to_floats
from sparring.data.sources import Skipped
from sparring.data.surveys import Survey, check, survey

__all__ = ["EMBEDDED", "Batch", "Pictures", "Skipped", "Survey", "check", "fingerprint", "load", "survey", "to_floats"]
