"""From picture files through a generator of pictures from pictures, and back to files."""

from sparring.applying.apparatus import Apparatus

__all__ = ["Apparatus"]
