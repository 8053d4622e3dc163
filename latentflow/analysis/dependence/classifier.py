"""Dependence of all columns at once: can a classifier tell rows from rows whose columns were shuffled?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy.stats import mannwhitneyu, rankdata
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from latentflow.analysis.dependence.hermite import DEGREES, hermite_functions
from latentflow.analysis.dependence.interactions import choose_interactions
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result
from latentflow.statistics.resample import variance_of_mean

#: Fewer rows than this are not tested.
FEWEST_ROWS = 40
MOST_ROWS = 20_000
SHUFFLED_COPIES = 2  # of the training rows
PENALTY = 0.1  # of the logistic regression, scikit-learn's C
TREES, TREE_PRODUCTS = 40, 8
SHIFTS = 199
ROWS_AT_ONCE = 20_000
SHIFTED_ROWS = 2_500  # judging rows at most where all shifts of them are scored
CLASSIFIER = "logistic regression on products of Hermite functions of ranks, then boosted trees"

Shuffle = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class JointDependence(Result):
    """A classifier two-sample test of rows against rows with independent columns (Lopez-Paz & Oquab 2017)."""

    name: Annotated[str, "The representation."]
    label: str
    auc: Annotated[
        Interval,
        "Area under the ROC curve on rows the classifier has not seen: the chance that it gives a row a higher score "
        "than a shuffled row; ½ under independence.",
    ]
    p_value: Annotated[float, "Of independence of all columns, one-sided, from ``auc``."]
    tc_bound: Annotated[
        Interval,
        "Lower bound on the total correlation, nats, from the same classifier on the same unseen rows (Nguyen, "
        "Wainwright & Jordan 2010). Not cut at zero: about zero, and as often below, under independence.",
    ]
    n_train: Annotated[int, "Rows (before shuffling) that trained and that judged the classifier."]
    n_test: int
    classifier: Annotated[str, "What was used, in words."]
    null: str


@dataclass(frozen=True)
class _Judged:
    """Scores on unseen rows: of rows as they are, and of shuffled ones."""

    true: np.ndarray  # (m,)
    shuffled: np.ndarray  # (b, k), one row for each way of shuffling
    width: int  # rows per block


def joint_dependence(
    values: np.ndarray, name: str, label: str, rng: np.random.Generator, *, block: int | None = None
) -> JointDependence:
    """Test whether all columns of a representation are independent of each other, and bound their dependence.

    Parameters
    ----------
    values : ndarray (n, d)
        One representation of the rows, finite; at least 40 rows, of which at most 20 000, evenly spaced, are
        used.
    name, label : str
        Its key and what a reader is told.
    rng : numpy Generator
        Chooses the halves and shuffles.
    block : int or None
        Not None for autocorrelated rows in their original order, the rows per block.

    Returns
    -------
    JointDependence

    Notes
    -----
    Half of the rows train a classifier of rows against the same rows with each column permuted. It sees
    products of Hermite functions of the ranks (see :mod:`latentflow.analysis.dependence.interactions`): a logistic
    regression on them, and boosted trees on its score and the strongest products. The other half judges it:
    one half of those rows as they are against the rest, their columns permuted. Whatever the classifier, under
    independence all these rows are exchangeable, also though ranks were taken over all rows, so the AUC has
    exactly the permutation law of Mann & Whitney's U, for which its normal approximation stands (with ties).

    Autocorrelated rows: the first half trains and the second judges, apart by a gap of two blocks, and columns
    are shifted in a circle instead of permuted. The mean rank of the scores of the judging rows is compared
    with that of 199 random shifts of the same rows, so that p ≥ 0.005.

    The bound is that of Nguyen, Wainwright & Jordan (2010, eq. 8): E_p[t] − E_q[exp t] + 1 ≤ KL(p‖q) for every
    function t of a row, where p is the rows' law, q that of independent columns, and KL the total
    correlation. t is the classifier's score, made log-odds by a logistic regression on the other half of
    the judging rows: it can only err low, except for sampling, which the interval states. Strong dependence is
    understated: no such bound from n rows can vouch for more than about log n (McAllester & Stratos 2020).
    """
    n, d = values.shape
    if d < 2:
        nothing = Interval(0.0, 0.0, 0.0)
        return JointDependence(name, label, Interval(0.5, 0.5, 0.5), 1.0, nothing, 0, 0, "none", "one column")
    stride = -(-n // MOST_ROWS)
    values = values[::stride]
    functions = hermite_functions(values)[0].astype(np.float32)
    # the matrices are small: threads would mostly wait for each other, and on shared cores for everyone
    with threadpool_limits(1):
        if block is None:
            train, test = _random_halves(functions, rng)
            judged = _judge_exchangeable(_Classifier(train, permuted, rng), test, rng)
            p_value = _mann_whitney(judged)
            null = "Mann–Whitney U of exchangeable rows"
        else:
            width = -(-block // stride)
            train, test, width = _parted_halves(functions, width)
            judged = _judge_shifted(_Classifier(train, shifted, rng), test, width, rng)
            p_value = _shift_p_value(judged)
            null = f"{SHIFTS} circular shifts of the columns"
    return JointDependence(
        name=name,
        label=label,
        auc=_auc(judged),
        p_value=p_value,
        tc_bound=_bound(judged, np.log(train.shape[1])),
        n_train=train.shape[1],
        n_test=test.shape[1],
        classifier=CLASSIFIER,
        null=null,
    )


class _Classifier:
    """Score of a row against a shuffled one: logistic regression on products, then boosted trees."""

    def __init__(self, train: np.ndarray, shuffle: Shuffle, rng: np.random.Generator) -> None:
        self.interactions = choose_interactions(train)
        copies = [train] + [shuffle(train, rng) for _ in range(SHUFFLED_COPIES)]
        features = np.concatenate([self.interactions.features(copy) for copy in copies])
        is_true = np.arange(len(features)) < train.shape[1]
        self.linear = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=300))
        self.linear.fit(features, is_true)
        self.trees = HistGradientBoostingClassifier(
            max_iter=TREES,
            max_leaf_nodes=8,
            l2_regularization=5.0,
            early_stopping=False,
            random_state=int(rng.integers(2**31)),
        )
        self.trees.fit(self._summary(features), is_true)

    def __call__(self, functions: np.ndarray) -> np.ndarray:
        """Log-odds (m,), up to a constant, of rows given as Hermite functions (4 d, m)."""
        features = self.interactions.features(functions)
        return np.asarray(self.trees.decision_function(self._summary(features)), dtype=np.float64)

    def _summary(self, features: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [self.linear.decision_function(features)[:, None], features[:, : 1 + TREE_PRODUCTS]], axis=1
        )


def permuted(functions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hermite functions (4 d, m) with the rows of each column permuted on their own."""
    columns = functions.reshape(-1, DEGREES, functions.shape[1])
    mixed = np.stack([column[:, rng.permutation(column.shape[1])] for column in columns])
    return mixed.reshape(functions.shape)


def shifted(functions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Hermite functions (4 d, m) with each column shifted in a circle by a random number of rows."""
    columns = functions.reshape(-1, DEGREES, functions.shape[1])
    mixed = np.stack([np.roll(column, rng.integers(column.shape[1]), axis=1) for column in columns])
    return mixed.reshape(functions.shape)


def _random_halves(functions: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(functions.shape[1])
    half = len(order) // 2
    return functions[:, order[:half]], functions[:, order[half:]]


def _parted_halves(functions: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray, int]:
    """First and second half with a gap between, the second thinned to what all shifts can be judged on."""
    n = functions.shape[1]
    gap = min(2 * width, n // 10)
    train, test = functions[:, : (n - gap) // 2], functions[:, (n + gap) // 2 :]
    stride = -(-test.shape[1] // SHIFTED_ROWS)
    return train, test[:, ::stride], -(-width // stride)


def _judge_exchangeable(classifier: _Classifier, test: np.ndarray, rng: np.random.Generator) -> _Judged:
    half = test.shape[1] // 2
    return _Judged(classifier(test[:, :half]), classifier(permuted(test[:, half:], rng))[None], 1)


def _judge_shifted(
    classifier: _Classifier, test: np.ndarray, width: int, rng: np.random.Generator
) -> _Judged:
    at_once = max(1, ROWS_AT_ONCE // test.shape[1])
    scores = []
    for start in range(0, SHIFTS, at_once):
        number = min(at_once, SHIFTS - start)
        scores.append(classifier(np.concatenate([shifted(test, rng) for _ in range(number)], axis=1)))
    return _Judged(classifier(test), np.concatenate(scores).reshape(SHIFTS, -1), width)


def _mann_whitney(judged: _Judged) -> float:
    p = mannwhitneyu(judged.true, judged.shuffled[0], alternative="greater", method="asymptotic").pvalue
    return float(p) if np.isfinite(p) else 1.0  # all scores equal


def _shift_p_value(judged: _Judged) -> float:
    """Rank of the mean rank of the true rows among those of their shifts; all are alike under the null."""
    every = np.concatenate([judged.true[None], judged.shuffled])
    mean_rank = rankdata(every).reshape(every.shape).mean(axis=1)
    return float((mean_rank >= mean_rank[0]).sum() / len(every))


def _auc(judged: _Judged) -> Interval:
    """AUC with the interval of DeLong, DeLong & Clarke-Pearson (1988), over blocks where there are any."""
    of_true = _placements(judged.true, judged.shuffled.ravel())
    of_shuffled = _placements(judged.shuffled[0], judged.true)
    auc, reach = float(of_true.mean()), _reach(of_true, of_shuffled, judged.width)
    return Interval(auc, max(0.0, auc - reach), min(1.0, auc + reach))


def _placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of the others below each score, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, side="left") + np.searchsorted(ordered, scores, side="right")
    return np.asarray(below / (2.0 * len(ordered)))


def _bound(judged: _Judged, ceiling: float) -> Interval:
    """E_p[t] − E_q[exp t] + 1 with t scaled on one half of the rows and averaged over the other, both ways."""
    true, shuffled = judged.true, judged.shuffled[0]
    of_true, of_shuffled = np.empty_like(true), np.empty_like(shuffled)
    first, first_shuffled = (
        np.arange(len(true)) < len(true) // 2,
        np.arange(len(shuffled)) < len(shuffled) // 2,
    )
    for fit, fit_shuffled in ((first, first_shuffled), (~first, ~first_shuffled)):
        slope, offset = _log_odds_scale(true[fit], shuffled[fit_shuffled])
        of_true[~fit] = np.minimum(slope * true[~fit] + offset, ceiling)
        of_shuffled[~fit_shuffled] = np.exp(np.minimum(slope * shuffled[~fit_shuffled] + offset, ceiling))
    estimate = float(of_true.mean() - of_shuffled.mean() + 1.0)
    reach = _reach(of_true, of_shuffled, judged.width)
    return Interval(estimate, estimate - reach, estimate + reach)


def _log_odds_scale(true: np.ndarray, shuffled: np.ndarray) -> tuple[float, float]:
    """Slope and offset that turn scores into log-odds at equal shares of the two kinds (Platt 1999)."""
    scores = np.concatenate([true, shuffled])
    size = float(scores.std())
    if size < 1e-9:
        return 0.0, 0.0
    is_true = np.arange(len(scores)) < len(true)
    model = LogisticRegression(class_weight="balanced").fit(scores[:, None] / size, is_true)
    return float(model.coef_[0, 0]) / size, float(model.intercept_[0])


def _reach(of_true: np.ndarray, of_shuffled: np.ndarray, width: int) -> float:
    """Half-width of the 95 % interval of a difference of two means of terms, by blocks of rows."""
    variance = sum(variance_of_mean(terms, width) for terms in (of_true, of_shuffled))
    blocks = min(len(of_true), len(of_shuffled)) // width
    return float(student.isf(0.025, max(blocks - 1, 1)) * np.sqrt(variance))
