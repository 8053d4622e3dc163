"""Fixtures of the analysis tests; a model known in closed form stands in ``exact_model.py``."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def mixing() -> np.ndarray:
    """A well-conditioned 4 × 4 mixture."""
    rng = np.random.default_rng(7)
    return np.eye(4) + 0.5 * rng.standard_normal((4, 4))
