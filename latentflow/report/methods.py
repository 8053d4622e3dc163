"""How an analysis was run, as plain rows of text."""

from __future__ import annotations

from latentflow.analysis.results import IndependenceResult
from latentflow.report import numbers


def methods(result: IndependenceResult) -> list[tuple[str, str]]:
    """How it was measured: pairs of a term and its value, those that are known."""
    rows, provenance = result.rows, result.provenance
    fit = provenance.get("fit") or {}
    dependent = (
        f"yes: blocks of {numbers.count(rows.block)} rows, circular-shift nulls" if rows.dependent else "no"
    )
    evaluated = (
        "held out by the fit, never seen by it" if rows.which == "held out" else "all rows of the table"
    )
    lines = [
        ("Rows evaluated", f"{numbers.count(rows.n_eval)} of {numbers.count(rows.n_table)} ({evaluated})"),
        ("Rows that trained the model", numbers.count(rows.n_train)),
        ("Split of the fit", rows.mode),
        ("PCA, FastICA and Gaussian fitted on", rows.baselines),
        ("Largest lag-1 autocorrelation", numbers.fixed(rows.lag1, 2)),
        ("Treated as autocorrelated", dependent),
        ("Effective number of rows", numbers.count(rows.effective_n)),
        ("Rows far outside the training data", numbers.count(result.far_rows)),
        ("Intervals", f"95 %, bootstrap of {numbers.count(result.ledger.n_boot)} draws over per-row terms"),
        ("FastICA", f"{result.fastica.note} ({numbers.count(result.fastica.n_iter)} iterations kept)"),
        ("Columns of the table", str(len(result.columns))),
        ("Varying and linearly independent", str(len(result.flow_columns))),
        ("Latents", str(len(result.latent_names))),
        (
            "Seeds",
            f"analysis {provenance.get('seed', numbers.MISSING)}, fit {fit.get('seed', numbers.MISSING)}",
        ),
    ]
    lines += [(label, str(fit[key])) for key, label in _FIT_LINES if fit.get(key) is not None]
    if isinstance(fit.get("seconds"), int | float):
        lines.append(("Time to fit", f"{numbers.count(fit['seconds'])} s"))
    lines += [(label, str(provenance[key])) for key, label in _PROVENANCE_LINES if provenance.get(key)]
    versions = provenance.get("versions") or {"latentflow": provenance.get("version", numbers.MISSING)}
    lines.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return lines


_FIT_LINES = (("preset", "Preset of the fit"), ("steps", "Training steps"), ("device", "Device of the fit"))
_PROVENANCE_LINES = (
    ("file", "File"),
    ("key", "Data set in the file"),
    ("fingerprint", "Fingerprint of the table (SHA-256)"),
    ("model_file", "Model"),
    ("model_hash", "Fingerprint of the model (SHA-256)"),
    ("model_version", "Model written by latentflow"),
)
