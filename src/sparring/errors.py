"""What can go wrong and be put right by the person at the keyboard."""


class SparringError(Exception):
    """Base of all errors whose message is written for people: what is wrong, where, and what to do.

    The command line prints the message without a traceback and exits with status 2.
    """


class DataError(SparringError):
    """The data cannot be used: missing, empty, unreadable or of the wrong shape."""


class SettingError(SparringError):
    """A setting is unknown, out of range, or does not go with another one."""


class RunError(SparringError):
    """A run folder is missing, damaged, in use, or cannot be written."""


class MetricError(SparringError):
    """A metric cannot be computed from what it was given: too few samples, NaN, or shapes that do not match."""
