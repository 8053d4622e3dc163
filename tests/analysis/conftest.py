"""Shared fixtures; the closed-form models stand in ``analysis_models.py`` beside this file."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are no package: importlib mode adds no path


@pytest.fixture(scope="session")
def mixing() -> np.ndarray:
    """A well-conditioned 4 × 4 mixture."""
    rng = np.random.default_rng(7)
    return np.eye(4) + 0.5 * rng.standard_normal((4, 4))
