"""Pictures of any kind, from wherever they lie, to one uint8 tensor and batches of it."""

from sparring.data.embedded import EMBEDDED
from sparring.data.loading import fingerprint, load
from sparring.data.packing import pack
from sparring.data.patches import Patches, load_patches
from sparring.data.pictures import Batch, Data, Pictures, to_bytes, to_floats
from sparring.data.sources import Skipped
from sparring.data.streaming import Stream, buffer_for, stream
from sparring.data.surveys import Survey, check, survey
from sparring.data.two_sets import TwoSets, load_two_sets

__all__ = [
    "EMBEDDED",
    "Batch",
    "Data",
    "Patches",
    "Pictures",
    "Skipped",
    "Stream",
    "Survey",
    "TwoSets",
    "buffer_for",
    "check",
    "fingerprint",
    "load",
    "load_patches",
    "load_two_sets",
    "pack",
    "stream",
    "survey",
    "to_bytes",
    "to_floats",
]
