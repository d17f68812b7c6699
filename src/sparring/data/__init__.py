"""Pictures, texts, molecules and clips, from wherever they lie, to one tensor and batches of it."""

from sparring.data.clip_loading import (
    ClipCheck,
    ClipSurvey,
    check_clips,
    clips_fingerprint,
    load_clips,
    survey_clips,
)
from sparring.data.clip_places import EMBEDDED_CLIPS, surely_clips
from sparring.data.clips import ClipBatch, Clips
from sparring.data.corpora import CORPORA
from sparring.data.embedded import EMBEDDED
from sparring.data.loading import fingerprint, load
from sparring.data.molecule_files import EMBEDDED_MOLECULES, surely_molecules
from sparring.data.molecule_graphs import GraphSet, load_graph_set
from sparring.data.molecules import MoleculeSurvey, check_molecules, load_selfies, survey_molecules
from sparring.data.packing import pack
from sparring.data.patches import Patches, load_patches
from sparring.data.pictures import Batch, Data, Pictures, Samples, to_bytes, to_floats
from sparring.data.sequences import Sequences, Tokens
from sparring.data.sources import Skipped
from sparring.data.streaming import Stream, buffer_for, stream
from sparring.data.surveys import Survey, check, survey
from sparring.data.texts import TextCheck, Texts, TextSurvey, check_texts, is_text, load_texts, read_texts, survey_texts
from sparring.data.two_sets import TwoSets, load_two_sets

__all__ = [
    "CORPORA",
    "EMBEDDED",
    "EMBEDDED_CLIPS",
    "EMBEDDED_MOLECULES",
    "Batch",
    "ClipBatch",
    "ClipCheck",
    "ClipSurvey",
    "Clips",
    "Data",
    "GraphSet",
    "MoleculeSurvey",
    "Patches",
    "Pictures",
    "Samples",
    "Sequences",
    "Skipped",
    "Stream",
    "Survey",
    "TextCheck",
    "TextSurvey",
    "Texts",
    "Tokens",
    "TwoSets",
    "buffer_for",
    "check",
    "check_clips",
    "check_molecules",
    "check_texts",
    "clips_fingerprint",
    "fingerprint",
    "is_text",
    "load",
    "load_clips",
    "load_graph_set",
    "load_patches",
    "load_selfies",
    "load_texts",
    "load_two_sets",
    "pack",
    "read_texts",
    "stream",
    "surely_clips",
    "surely_molecules",
    "survey",
    "survey_clips",
    "survey_molecules",
    "survey_texts",
    "to_bytes",
    "to_floats",
]
