"""What a user can cause, as one small tree of exceptions.

Every message is one line: it names the file, column or row, and the way out. The commands print that line on
standard error and exit with code 2.
"""

from __future__ import annotations


class LatentFlowError(ValueError):
    """Base of all errors that a user's input can cause."""


class DataError(LatentFlowError):
    """A table cannot be read or written, or holds what a flow cannot take (text, missing values, one row)."""


class PreprocessingError(LatentFlowError):
    """A value cannot be mapped and restored exactly by the fitted preprocessor."""


class ModelFileError(LatentFlowError):
    """A model file is missing, damaged, of an unknown version, or made for other columns."""


class LatentFlowWarning(UserWarning):
    """Something that a user should know, but that does not stop the work."""
