"""From picture files through a generator of pictures from pictures, and back to files."""

from sparring.applying.apparatus import Apparatus
from sparring.applying.changing import apply_to_picture
from sparring.applying.ensemble import Ensemble
from sparring.applying.files import apply_to_files
from sparring.applying.record import identity

__all__ = ["Apparatus", "Ensemble", "apply_to_files", "apply_to_picture", "identity"]
