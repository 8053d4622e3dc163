"""The version of this package, which pyproject.toml reads as well."""

__version__ = "0.1.0"
