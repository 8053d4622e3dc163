"""Which pairs of columns are shown point by point, and the few evaluated rows that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from latentflow.analysis.measures import PairwiseDependence
from latentflow.statistics.records import plain

PAIRS_SHOWN = 2  # per representation


def worst_pairs(pairwise: PairwiseDependence, limit: int = PAIRS_SHOWN) -> list[tuple[int, int]]:
    """The ``limit`` most dependent pairs (i < j), strongest first; fewer where there are fewer pairs."""
    rows, columns = np.triu_indices(len(pairwise.columns), k=1)
    effects = np.asarray(pairwise.nats)[rows, columns]
    order = np.argsort(-effects, kind="stable")[:limit]
    return [(int(rows[at]), int(columns[at])) for at in order]


def shown_samples(
    samples: Mapping[str, np.ndarray], pairwise: Mapping[str, PairwiseDependence]
) -> dict[str, list[dict[str, Any]]]:
    """What of ``samples`` a reader sees, as plain JSON: per representation its worst pairs, and their points.

    Parameters
    ----------
    samples : mapping of str to ndarray (m, d)
        Evenly spaced evaluated rows in each representation.
    pairwise : mapping of str to PairwiseDependence
        With the same keys.

    Returns
    -------
    dict of str to list of dict
        ``columns`` (two names), ``x`` and ``y`` (m numbers each, six significant digits) of every such pair.
    """
    return {
        name: [
            {
                "columns": [pairwise[name].columns[i], pairwise[name].columns[j]],
                "x": plain(np.asarray(values)[:, i]),
                "y": plain(np.asarray(values)[:, j]),
            }
            for i, j in worst_pairs(pairwise[name])
        ]
        for name, values in samples.items()
        if name in pairwise
    }
