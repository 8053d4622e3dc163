"""Would another fit give the same latents? The same table, other seeds and other network sizes.

In theory the encoding of a score-based model is uniquely identifiable: it depends on the data alone, not on the network
(Song et al. 2021, arXiv 2011.13456, appendix D.5). With finite rows and training it does so approximately, and this
measures how far. FastICA is run with the same seeds beside it (the idea of ICASSO: Himberg, Hyvärinen & Esposito 2004).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, count, islice
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike

from latentflow.analysis.axes.account import is_anchored
from latentflow.analysis.baselines.fitted import fit_fastica
from latentflow.analysis.baselines.representations import names_of
from latentflow.analysis.comparison.agreement import Agreement, agreement
from latentflow.analysis.preparation import Material, prepare
from latentflow.data.complete_rows import complete_rows
from latentflow.data.splits import Split
from latentflow.errors import DataError
from latentflow.model.fit import fit_flow
from latentflow.model.settings import FitSettings
from latentflow.orientation.registry import GROUPS, ORDER, method_of
from latentflow.score.networks import is_separable
from latentflow.score.sizing import plan_training
from latentflow.statistics.interval import Interval
from latentflow.statistics.records import Result
from latentflow.statistics.resample import intervals

#: Width relative to that of the first fit, and blocks more than it has, of the refits in turn.
SIZES = ((0.75, 0), (1.5, 0), (1.0, 1), (1.25, -1))
WIDTH_STEP = 4
MOSTLY_ROTATION = 0.5  # share of the distance that a rotation takes away from which it is called the cause


@dataclass(frozen=True)
class Run(Result):
    """One fit among several."""

    seed: Annotated[int, "Seed, hidden units and residual blocks of the fit."]
    width: int
    depth: int
    network: Annotated[str, "The score network that was kept, in words."]
    orientation: Annotated[str, "Method of its orientation."]
    anchored: Annotated[bool, "Whether its latents were aligned with ICA components."]
    neg_log_prob: Annotated[Interval, "E[−log p] on the common held-out rows, nats, user's units."]
    log_prob_gain: Annotated[
        Interval,
        "Mean of log p less that of the first fit, paired over rows, nats; zero for the first fit itself.",
    ]
    seconds: Annotated[float, "Time of the fit."]


@dataclass(frozen=True)
class Stability(Result):
    """How far the latents of several fits agree on rows that none of them has seen."""

    runs: Annotated[tuple[Run, ...], "The model itself first."]
    latents: Annotated[Agreement, "Of the oriented latents."]
    fastica: Annotated[
        Agreement, "Of FastICA's components, fitted to the same training rows from as many starting points."
    ]
    fastica_converged: Annotated[int, "How many runs of FastICA converged."]
    log_prob_difference: Annotated[
        float,
        "Root mean square over rows of log p of one fit less that of another, median over pairs of fits, nats.",
    ]
    n_rows: Annotated[int, "Held-out rows, the same for all."]
    sentences: Annotated[tuple[str, ...], "What the figures say, in words."]


def stability(
    model: Any,
    X: Any,
    *,
    runs: int = 5,
    preset: str | None = None,
    missing: str = "error",
    groups: str | ArrayLike | None = None,
    time: str | ArrayLike | None = None,
    time_order: bool = False,
    device: str = "auto",
    n_boot: int = 1000,
    seed: int = 0,
    progress: Callable[[Any], None] | None = None,
    **changes: Any,
) -> Stability:
    """Fit a model's table again with other seeds and network sizes, and compare the latents.

    Parameters
    ----------
    model : FittedFlow
        The first run; every other one has its split and its settings, and is oriented as this one is now.
    X : path, Table, DataFrame or array (n, D)
        The table that it was fitted on.
    runs : int
        Fits in all, the model among them; at least 2.
    preset : str, optional
        Of the other fits; by default that of the model.
    missing : {"error", "drop"}
    groups, time : str or array_like, shape (n,), optional
        As for :func:`~latentflow.model.fit.fit_table`; what the model was told. Columns that it was told of are read
        again where none are given.
    time_order : bool
        Rows follow each other in time, at equal steps, whatever column of times the model was told of; so they do as
        well where the model was told so.
    device : str
    n_boot : int
    seed : int
        Of the first refit, and so on upwards, leaving out the model's own; of FastICA and of the bootstrap.
    progress : callable, optional
        Told of the training of every refit, as by :func:`~latentflow.model.fit.fit_flow`.
    **changes
        Further settings of :func:`~latentflow.model.fit.fit_flow`, over those of the model.

    Returns
    -------
    Stability

    Raises
    ------
    DataError
        Not the table of the fit, or no row of it was held out; fewer than two runs; the axes of the model were found
        by groups or by time, and there are none for the refits.
    """
    if runs < 2:
        raise DataError(f"stability needs at least 2 runs, the model and another fit, not {runs}")
    settings = replace(
        FitSettings.from_record(model.record), orientation=model.orientation.asked, device=device
    )
    settings = FitSettings.of(settings, time_order=time_order or settings.time_order, **changes)
    groups = model.record.get("groups") if groups is None else groups
    if time is None and not time_order:
        time = model.record.get("time")
    if "orientation" not in changes:
        _refuse_unknown_order(model.orientation.method, groups, time, settings.time_order)
    material = prepare(model, X, rows="held_out", missing=missing, seed=seed)
    rows = complete_rows(
        material.table, missing="drop", groups=groups, time=time, time_order=settings.time_order
    )
    split = common_split(model, rows.complete)
    models = [model]
    for shape in islice(_refits(model, preset, seed), runs - 1):
        refit = fit_flow(
            rows.values,
            model.columns,
            FitSettings.of(settings, **{**shape, **changes}),
            dtype=material.table.dtype,
            split=split,
            groups=rows.groups,
            time=rows.time,
            progress=progress,
        )
        models.append(refit)
    encodings = [fitted.encode(material.values, log_prob=True) for fitted in models]
    log_probs = np.stack([encoding.log_prob for encoding in encodings], axis=1)
    latents = agreement([encoding.latents for encoding in encodings], model.latent_names, "Latents")
    fastica, converged = _fastica(material, runs, seed)
    done = _runs(models, log_probs, np.random.default_rng(seed), n_boot, material.block)
    return Stability(
        runs=done,
        latents=latents,
        fastica=fastica,
        fastica_converged=converged,
        log_prob_difference=_spread(log_probs),
        n_rows=len(material.values),
        sentences=tuple(
            _sentences(done, latents, fastica, one_size=all(is_separable(each.network) for each in models))
        ),
    )


def expected_seconds(model: Any, runs: int, preset: str | None = None) -> float:
    """About how long :func:`stability` will train, from the time that the model's own fit took, seconds."""
    record = model.record
    own = plan_training(record["n_train"], model.preprocessor.n_flow, preset=record["preset"])
    other = plan_training(record["n_train"], model.preprocessor.n_flow, preset=preset or record["preset"])
    steps = 1.0 if record["settings"].get("steps") else other.steps / own.steps
    plan = record["plan"]
    sizes = [shape["width"] * shape["depth"] for shape in islice(_refits(model, preset, 0), runs - 1)]
    return float(record["training_seconds"]) * steps * sum(sizes) / (plan["width"] * plan["depth"])


def common_split(model: Any, complete: np.ndarray) -> Split:
    """The split of the model's fit, for the complete rows (n,) of its table."""
    split = model.record["split"]
    roles = np.asarray(model.roles)[complete]
    return Split(roles, split["mode"], split["lag1"], split["gap"], split["block_rows"])


def _refuse_unknown_order(
    method: str, groups: str | ArrayLike | None, time: str | ArrayLike | None, ordered: bool
) -> None:
    """Refuse refits that could not find their axes by what the first fit found its axes by."""
    needs = method_of(method).needs
    known = {ORDER: ordered or time is not None, GROUPS: groups is not None}
    if needs is not None and not known[needs]:
        raise DataError(
            f"the axes of this model were found by {needs.given}, which it does not hold; so that the other fits find "
            f"theirs by it too they need {needs.request}"
        )


def _refits(model: Any, preset: str | None, seed: int) -> Iterator[dict[str, Any]]:
    """Seed, preset and size of one refit after the other."""
    record = model.record
    width, depth = record["plan"]["width"], record["plan"]["depth"]
    if preset is not None and preset != record["preset"]:
        plan = plan_training(record["n_train"], model.preprocessor.n_flow, preset=preset)
        width, depth = plan.width, plan.depth
    seeds = (number for number in count(seed) if number != record["seed"])
    for position, number in enumerate(seeds):
        factor, more = SIZES[position % len(SIZES)]
        yield {
            "seed": number,
            "preset": preset or record["preset"],
            "width": max(WIDTH_STEP, WIDTH_STEP * round(factor * width / WIDTH_STEP)),
            "depth": max(1, depth + more),
        }


def _runs(
    models: list[Any], log_probs: np.ndarray, rng: np.random.Generator, n_boot: int, block: int | None
) -> tuple[Run, ...]:
    scores = intervals(-log_probs, rng, n_boot, block)
    gains = intervals(log_probs - log_probs[:, :1], rng, n_boot, block)
    return tuple(
        Run(
            seed=int(fitted.record["seed"]),
            width=int(fitted.record["plan"]["width"]),
            depth=int(fitted.record["plan"]["depth"]),
            network=str(fitted.record["network"]["structure"]),
            orientation=fitted.orientation.method,
            anchored=is_anchored(fitted.orientation),
            neg_log_prob=score,
            log_prob_gain=gain,
            seconds=float(fitted.record["seconds"]),
        )
        for fitted, score, gain in zip(models, scores, gains, strict=True)
    )


def _fastica(material: Material, runs: int, seed: int) -> tuple[Agreement, int]:
    fits = [material.ica, *(fit_fastica(material.train, seed + more) for more in range(1, runs))]
    codes = [fit.transform(material.continuous)[0] for fit in fits]
    ica_agreement = agreement(codes, names_of("ica", codes[0].shape[1]), "FastICA")
    return ica_agreement, sum(fit.converged for fit in fits)


def _spread(log_probs: np.ndarray) -> float:
    pairs = combinations(range(log_probs.shape[1]), 2)
    return float(np.median([np.sqrt(((log_probs[:, a] - log_probs[:, b]) ** 2).mean()) for a, b in pairs]))


def _sentences(runs: Sequence[Run], latents: Agreement, fastica: Agreement, *, one_size: bool) -> list[str]:
    """What the figures say; ``one_size`` where every network is separable, whatever the sizes that were asked for."""
    counts: Mapping[str, int] = {
        words: sum(row.words == words for row in latents.coordinates)
        for words in ("stable", "fairly stable", "unstable")
    }
    counted = [f"{number} {words}" for words, number in counts.items() if number]
    sentences = [
        f"Over {latents.n_runs} fits, of {len(latents.coordinates)} latents are {', '.join(counted)} (mean matched "
        f"|Spearman| {latents.mean:.3f}; FastICA from as many starting points {fastica.mean:.3f})."
    ]
    taken = 1.0 - latents.distance_rotated / max(latents.distance, 1e-300)
    if latents.distance > 0.05 * latents.reference and taken > MOSTLY_ROTATION:
        sentences.append(
            "The fits agree on the map and disagree on its axes: a rotation takes away "
            f"{100 * taken:.0f} % of the distance between their codes."
        )
    sentences += _on_orientations(runs)
    if one_size:
        sentences.append(
            "Every fit kept the separable network, which has one size: only seed and batches differ."
        )
    sentences.append(
        "The fits differ in seed, batches and network size, the runs of FastICA in their starting point alone; all "
        "have the same training rows, so that neither says how much other rows would change."
    )
    return sentences


def _on_orientations(runs: Sequence[Run]) -> list[str]:
    """What the ways in which the latents were turned mean for their agreement."""
    ways = [run.orientation for run in runs]
    anchored = sum(run.anchored for run in runs)
    notes = []
    if len(set(ways)) > 1:
        notes.append(
            f"The runs were turned in different ways ({', '.join(ways)}): differences between their axes are those of "
            "the ways too."
        )
    if set(ways) == {"none"}:
        notes.append(
            "The latents were not oriented: their axes come from the whitening, which all fits share, so that "
            "agreement says that the map is stable and nothing of components."
        )
    elif anchored:
        which = "The latents" if anchored == len(runs) else f"The latents of {anchored} of {len(runs)} runs"
        notes.append(f"{which} are aligned with ICA components: their agreement is in part that of FastICA.")
    return notes
