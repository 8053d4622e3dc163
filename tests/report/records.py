"""Plausible further records for a synthetic result: pairs measured again, joint tests, densities, recovery."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from latentflow.analysis.axes.account import OrientationAccount, orientation_account
from latentflow.analysis.axes.latent_facts import latent_facts
from latentflow.analysis.axes.recovery import Recovery, RecoveryEntry
from latentflow.analysis.dependence.classifier import JointDependence
from latentflow.analysis.dependence.confirmation import PairConfirmation
from latentflow.analysis.dependence.magnitudes import Magnitudes
from latentflow.analysis.dependence.pairwise import Discoveries
from latentflow.analysis.gaussianity.joint import JointGaussianity
from latentflow.analysis.ledger.densities import BaselineDensity
from latentflow.analysis.results import FastICASummary, PairwiseDependence
from latentflow.orientation.record import Orientation
from latentflow.statistics.interval import Interval

#: The fields that a result may go without, as it has them then.
BARE: dict[str, Any] = {
    "discoveries": {},
    "confirmed": {},
    "joint": {},
    "magnitudes": {},
    "joint_gaussianity": None,
    "terminal_mismatch": None,
    "densities": (),
    "recovery": None,
    "latent_facts": (),
    "orientation": None,
    "samples": {},
}
AUC = {"raw": 0.914, "pca": 0.82, "fastica": 0.703, "latents": 0.507}
SCORES = {"raw": 0.41, "pca": 0.52, "fastica": 0.788, "latents": 0.802}


def further_records(values: dict[str, np.ndarray], pairwise: dict[str, PairwiseDependence]) -> dict[str, Any]:
    """All optional fields of a result on these coordinates (n, d) of each representation."""
    several = len(pairwise["latents"].columns) > 1
    return {
        "discoveries": {name: _discoveries(pairs) for name, pairs in pairwise.items()},
        "confirmed": {name: _confirmed(pairs) for name, pairs in pairwise.items()},
        "joint": {name: _joint(name, pairwise[name]) for name in AUC if several and name != "pca"},
        "magnitudes": {name: _magnitudes(values[name], pairs) for name, pairs in pairwise.items()},
        "joint_gaussianity": JointGaussianity(0.0031, 0.24, 100, 2.71, 0.18, 1200, "N(0, I)"),
        "terminal_mismatch": 0.00042,
        "densities": _densities(pairwise),
        "recovery": _recovery(pairwise),
        "latent_facts": latent_facts(
            values["latents"], pairwise["latents"].columns, values["raw"], pairwise["raw"].columns
        ),
        "orientation": oriented(pairwise["latents"].columns),
        "samples": {name: array[:1000] for name, array in values.items() if name != "pca"},
    }


def oriented(
    names: tuple[str, ...], method: str = "jacobian", *, converged: bool = True
) -> OrientationAccount:
    """The account of an orientation whose last two axes are undetermined and whose second is loose."""
    d = len(names)
    errors = np.full((d, d), 0.01)
    errors[:2, :2] = 0.2
    errors[-2:, -2:] = np.pi / 4
    np.fill_diagonal(errors, 0.0)
    orientation = Orientation(
        np.eye(d), method, "auto", "Rows are in no order and no groups were named.", converged, errors
    )
    fastica = FastICASummary(True, 14, "Converged at once.", 0.71, tuple(range(d)), (0.71,) * d)
    return orientation_account(orientation, names, fastica, (_around(0.214, 0.012), 1000))


def _around(estimate: float, half: float) -> Interval:
    return Interval(estimate, estimate - half, estimate + half)


def _discoveries(pairs: PairwiseDependence) -> Discoveries:
    p = pairs.p_value[np.triu_indices(len(pairs.columns), 1)]
    return Discoveries(int((p < 0.02).sum()), int((p < 0.005).sum()), p.size)


def _confirmed(pairs: PairwiseDependence) -> tuple[PairConfirmation, ...]:
    return tuple(
        PairConfirmation(
            i=i,
            j=j,
            names=(pairs.columns[i], pairs.columns[j]),
            nats=float(pairs.nats[i, j]),
            p_value=float(pairs.p_value[i, j]),
            p_bh=min(1.0, 4 * float(pairs.p_value[i, j])),
            p_by=min(1.0, 9 * float(pairs.p_value[i, j])),
            distance_correlation=_around(float(np.sqrt(2 * pairs.nats[i, j])), 0.021),
            distance_p=float(pairs.p_value[i, j]),
            distance_p_adjusted=min(1.0, 12 * float(pairs.p_value[i, j])),
            mutual_information=_around(0.9 * float(pairs.nats[i, j]) - 0.002, 0.012),
            n_rows=pairs.n_rows,
        )
        for i, j in pairs.strongest(6)
    )


def _joint(name: str, pairs: PairwiseDependence) -> JointDependence:
    return JointDependence(
        name=name,
        label=pairs.label,
        auc=_around(AUC[name], 0.013),
        p_value=0.002 if name != "latents" else 0.31,
        tc_bound=_around(4.1 * (AUC[name] - 0.5) - 0.03, 0.04),
        n_train=600,
        n_test=600,
        classifier="gradient-boosted trees on normal scores",
        null="500 permutations of the labels of the unseen rows",
    )


def _magnitudes(values: np.ndarray, pairs: PairwiseDependence) -> Magnitudes:
    d = values.shape[1]
    correlation = np.eye(d)
    if d > 1:
        ranks = stats.rankdata(np.abs(values - np.median(values, axis=0)), axis=0)
        correlation = np.corrcoef(ranks, rowvar=False)
    off = np.triu(np.abs(correlation), 1)
    i, j = np.unravel_index(int(off.argmax()), off.shape)
    worst = (int(i), int(j))
    return Magnitudes(
        pairs.name, pairs.label, pairs.columns, correlation, float(off.max()), worst, 0.03, len(values)
    )


def _densities(pairwise: dict[str, PairwiseDependence]) -> tuple[BaselineDensity, ...]:
    figures = {"raw": (14.9, 14.131), "pca": (7.204, 7.104), "fastica": (7.211, 6.462)}
    return tuple(
        BaselineDensity(
            name, pairwise[name].label, _around(normal, 0.04), _around(own, 0.031), _around(own - 5.812, 0.02)
        )
        for name, (normal, own) in figures.items()
    )


def _recovery(pairwise: dict[str, PairwiseDependence]) -> Recovery:
    d = len(pairwise["latents"].columns)
    return Recovery(
        entries=tuple(
            RecoveryEntry(
                name=name,
                label=pairs.label,
                mcc_pearson=SCORES[name] - 0.021,
                mcc_spearman=SCORES[name],
                amari=1 - SCORES[name],
                matched=(*range(d)[::-1], None),  # one source more than coordinates
                correlation=(
                    *(0.97 - 0.3 * (index % 4 == 3) - 1.6 * (index % 2) for index in range(d)),
                    None,
                ),
            )
            for name, pairs in pairwise.items()
        ),
        n_rows=pairwise["latents"].n_rows,
    )
