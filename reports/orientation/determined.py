"""What is told as determined: latents of known axes, drawn many times, turned by groups or by the order of time.

    python reports/orientation/determined.py

About five minutes of one core, and the same figures at every run: each table has a seed of its own. No flow is fitted.
The latents are independent sources turned by a random rotation, which `group_axes` and `temporal_axes` look for. It
writes determined.json and determined.md beside this file.

Sources are alike where nothing that these methods use tells them apart: the same variance in every group, or Gaussian
series of the same coefficient. No angle between two such sources is right, and none may be told as determined.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.signal import lfilter
from scipy.stats import special_ortho_group
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1])]  # the figures are those of the code beside them

from latentflow.orientation.second_moments import StructuredAxes, group_axes, temporal_axes  # noqa: E402

Floats = NDArray[np.float64]
Laws = tuple[int, ...]

#: The angle error of a plane that is not determined.
UNDETERMINED = np.pi / 4
#: Steps of a series before the first that is kept.
SETTLING = 300


class Setting(Protocol):
    """Sources to draw and a way to find their axes."""

    @property
    def sources(self) -> str: ...

    @property
    def tables(self) -> int: ...

    @property
    def size(self) -> str: ...

    @property
    def laws(self) -> Laws: ...

    def draw(self, rng: np.random.Generator) -> Floats: ...

    def axes(self, latents: Floats) -> StructuredAxes: ...


@dataclass(frozen=True)
class Groups:
    """Normal sources whose standard deviations change from group to group.

    Attributes
    ----------
    sources : str
        In words.
    laws : tuple of int
        One for each source. Law 0 has the same standard deviation in all groups, and each other one deviations of its
        own, which its sources share.
    groups, rows : int
        How many groups, and the rows in each.
    spread : float
        Standard deviation of the logarithms of the standard deviations.
    tables : int
    """

    sources: str
    laws: Laws
    groups: int
    rows: int
    spread: float
    tables: int

    @property
    def size(self) -> str:
        return f"{self.groups} groups of {self.rows} rows"

    @property
    def labels(self) -> NDArray[np.int64]:
        """The group of each row."""
        return np.repeat(np.arange(self.groups), self.rows)

    def draw(self, rng: np.random.Generator) -> Floats:
        """Sources, (rows of all groups, k)."""
        deviations = np.exp(self.spread * rng.standard_normal((self.groups, max(self.laws) + 1)))
        deviations[:, 0] = 1.0
        deviations /= np.sqrt((deviations**2).mean(0))
        values = rng.standard_normal((self.groups, self.rows, len(self.laws)))
        return (values * deviations[:, None, list(self.laws)]).reshape(-1, len(self.laws))

    def axes(self, latents: Floats) -> StructuredAxes:
        return group_axes(latents, self.labels)


@dataclass(frozen=True)
class Series:
    """Autoregressive series of order 1 and variance 1.

    Attributes
    ----------
    sources : str
        In words.
    coefficients : tuple of float
    rows : int
    tables : int
    laplace : int
        The first so many have Laplace innovations, the others Gaussian ones.
    """

    sources: str
    coefficients: tuple[float, ...]
    rows: int
    tables: int
    laplace: int = 0

    @property
    def size(self) -> str:
        return f"{self.rows} rows"

    @property
    def laws(self) -> Laws:
        """One number for each coefficient of Gaussian series; a number for each series that is not Gaussian."""
        known = sorted(set(self.coefficients[self.laplace :]))
        others = tuple(range(len(known), len(known) + self.laplace))
        return others + tuple(known.index(c) for c in self.coefficients[self.laplace :])

    def draw(self, rng: np.random.Generator) -> Floats:
        """Sources, (rows, k)."""
        steps = rng.standard_normal((self.rows + SETTLING, len(self.coefficients)))
        steps[:, : self.laplace] = rng.laplace(scale=np.sqrt(0.5), size=(len(steps), self.laplace))
        every = [
            lfilter([np.sqrt(1 - c * c)], [1, -c], step)
            for c, step in zip(self.coefficients, steps.T, strict=True)
        ]
        return np.column_stack(every)[SETTLING:]

    def axes(self, latents: Floats) -> StructuredAxes:
        return temporal_axes(latents, np.arange(len(latents)))


def spread_out(first: float, last: float, k: int) -> tuple[float, ...]:
    """Coefficients at equal steps."""
    return tuple(float(c) for c in np.linspace(first, last, k).round(4))


GROUPS = (
    Groups("all groups of one law", (0,) * 2, 2, 1000, 0.0, 400),
    Groups("all groups of one law", (0,) * 5, 2, 1000, 0.0, 100),
    Groups("all groups of one law", (0,) * 10, 2, 1000, 0.0, 40),
    Groups("all groups of one law", (0,) * 20, 2, 1000, 0.0, 12),
    Groups("all groups of one law", (0,) * 10, 5, 400, 0.0, 40),
    Groups("all groups of one law", (0,) * 2, 40, 100, 0.0, 400),
    Groups("all groups of one law", (0,) * 5, 40, 100, 0.0, 100),
    Groups("all groups of one law", (0,) * 10, 40, 500, 0.0, 20),
    Groups("all groups of one law", (0,) * 20, 40, 150, 0.0, 8),
    Groups("half steady, half vary by 0.5", (0,) * 5 + tuple(range(1, 6)), 5, 400, 0.5, 24),
    Groups("half steady, half vary by 0.5", (0,) * 5 + tuple(range(1, 6)), 40, 500, 0.5, 24),
    Groups("half steady, half vary by 0.5", (0,) * 10 + tuple(range(1, 11)), 40, 500, 0.5, 6),
    Groups("three vary as one by 0.5, the others by 0.5", (1, 1, 1, 2, 3), 40, 100, 0.5, 40),
    Groups("all vary by 0.5", tuple(range(1, 6)), 2, 1000, 0.5, 40),
    Groups("all vary by 0.3", tuple(range(1, 11)), 5, 1000, 0.3, 24),
    Groups("all vary by 0.5", tuple(range(1, 6)), 40, 500, 0.5, 40),
    Groups("all vary by 0.1", tuple(range(1, 6)), 40, 100, 0.1, 40),
)
SERIES = (
    Series("Gaussian, all 0.5", (0.5,) * 2, 2000, 200),
    Series("Gaussian, all 0.5", (0.5,) * 5, 2000, 60),
    Series("Gaussian, all 0.5", (0.5,) * 10, 400, 24),
    Series("Gaussian, all 0.5", (0.5,) * 10, 2000, 24),
    Series("Gaussian, all 0.95", (0.95,) * 10, 2000, 24),
    Series("Gaussian, all 0.5", (0.5,) * 20, 5000, 6),
    Series("Gaussian, half 0.5, others 0.1 to 0.9", (0.5,) * 5 + (0.1, 0.3, 0.7, 0.8, 0.9), 2000, 24),
    Series("Gaussian, 0.1 to 0.9 at equal steps", spread_out(0.1, 0.9, 10), 2000, 24),
    Series("Gaussian, 0.1 to 0.95 at equal steps", spread_out(0.1, 0.95, 20), 10_000, 4),
    Series("Gaussian, 0.5 and 0.6", (0.5, 0.6), 2000, 60),
    Series("Gaussian, 0.5 and 0.56", (0.5, 0.56), 2000, 100),
    Series("one Laplace, others Gaussian, all 0.5", (0.5,) * 5, 2000, 60, laplace=1),
    Series("Laplace, all 0.5", (0.5,) * 10, 2000, 16, laplace=10),
)
SECTIONS: dict[str, tuple[Setting, ...]] = {"By groups": GROUPS, "By the order of time": SERIES}


@dataclass(frozen=True)
class Judged:
    """One table: planes of sources alike and of others, how many of them are told as determined, and by how much off.

    Attributes
    ----------
    alike, claimed : int
        Planes of sources that are alike, and those of them that are told as determined.
    differing, determined : int
        Planes of sources that differ, and those of them that are told as determined.
    ratios : ndarray, shape (determined,)
        True angle over the error told, for planes of sources that differ and are told as determined.
    """

    alike: int
    claimed: int
    differing: int
    determined: int
    ratios: Floats


@dataclass(frozen=True)
class Count:
    """All tables of one setting; ``ratio`` is the root mean square of true angle over error told, None without any."""

    section: str
    sources: str
    latents: int
    size: str
    tables: int
    alike: int
    claimed: int
    tables_with_claims: int
    differing: int
    determined: int
    ratio: float | None


def true_angles(gain: Floats, laws: Laws) -> tuple[NDArray[np.intp], Floats]:
    """Which found axis belongs to each source, and by how much it is turned in the plane of each two of them.

    Sources that are alike have no axes of their own but a common space. Their axes are taken to be those of that space
    that are nearest to what was found.

    Parameters
    ----------
    gain : ndarray, shape (k, k)
        Cosines between true axes (rows) and found ones (columns).
    laws : tuple of int
        Equal for sources that are alike.

    Returns
    -------
    order : ndarray of int, shape (k,)
    angles : ndarray, shape (k, k)
        Radians, to first order.
    """
    same = np.equal.outer(laws, laws)
    order = linear_sum_assignment(-np.sqrt(same @ gain**2))[1]
    aligned = gain[:, order]
    for law in set(laws):
        own = np.flatnonzero(np.equal(laws, law))
        left, _, right = np.linalg.svd(aligned[np.ix_(own, own)])
        aligned[own] = (left @ right).T @ aligned[own]
    return order, 0.5 * (aligned - aligned.T)


def judge(gain: Floats, angle_error: Floats, laws: Laws) -> Judged:
    """Count the planes of one table.

    Parameters
    ----------
    gain, laws
        As for :func:`true_angles`.
    angle_error : ndarray, shape (k, k)
        The errors told, in the order of the found axes.
    """
    order, angles = true_angles(gain, laws)
    planes = np.triu_indices(len(laws), 1)
    alike = np.equal.outer(laws, laws)[planes]
    error = angle_error[np.ix_(order, order)][planes]
    determined = error < UNDETERMINED
    right = determined & ~alike
    return Judged(
        alike=int(alike.sum()),
        claimed=int((determined & alike).sum()),
        differing=int((~alike).sum()),
        determined=int(right.sum()),
        ratios=angles[planes][right] / error[right],
    )


def one_table(setting: Setting, table: int) -> Judged:
    """Draw the sources of a table, turn them at random, find their axes, and count."""
    name = f"{setting.sources}: {len(setting.laws)}, {setting.size}"
    rng = np.random.default_rng([zlib.crc32(name.encode()), table])
    turn = special_ortho_group.rvs(len(setting.laws), random_state=rng)
    found = setting.axes(setting.draw(rng) @ turn.T)
    return judge(turn.T @ found.diagonalisation.rotation, found.angle_error, setting.laws)


def count(section: str, setting: Setting, judged: Sequence[Judged]) -> Count:
    """The sums over the tables of a setting."""
    ratios = np.concatenate([table.ratios for table in judged])
    return Count(
        section=section,
        sources=setting.sources,
        latents=len(setting.laws),
        size=setting.size,
        tables=len(judged),
        alike=sum(table.alike for table in judged),
        claimed=sum(table.claimed for table in judged),
        tables_with_claims=sum(table.claimed > 0 for table in judged),
        differing=sum(table.differing for table in judged),
        determined=sum(table.determined for table in judged),
        ratio=float(np.sqrt(np.mean(ratios**2))) if len(ratios) else None,
    )


HEAD = (
    (
        "sources",
        "what is drawn; “vary by” is the standard deviation of the logarithms of the standard "
        "deviations in the groups, and a number by itself the coefficient of a series of order 1",
    ),
    ("latents", "how many sources, turned by a random rotation"),
    ("rows", "of each table"),
    ("tables", "how many were drawn"),
    (
        "alike, told as determined",
        "planes of two sources that nothing tells apart, and how many of them have an angle "
        "error below π/4 all the same; none would be right",
    ),
    ("in tables", "how many tables have such a plane"),
    (
        "differing, told as determined",
        "the same of two sources that differ, with the share; the more the better",
    ),
    (
        "scatter / error",
        "root mean square of the true angle over the error told, over planes of sources that differ "
        "and are told as determined; 1 where the errors are right, above 1 where they are too small",
    ),
)


def report(counts: Sequence[Count]) -> str:
    """The whole of determined.md."""
    parts = [
        "# What is told as determined",
        "",
        "Written by `determined.py`: simulated latents, no fits. The columns:",
        "",
        *(f"* **{name}**: {meaning}." for name, meaning in HEAD),
    ]
    for section in dict.fromkeys(c.section for c in counts):
        own = [c for c in counts if c.section == section]
        parts += ["", f"## {section}", "", *_table(own), "", _in_all(own)]
    return "\n".join(parts) + "\n"


def _table(counts: Iterable[Count]) -> list[str]:
    rows = [
        (
            c.sources,
            str(c.latents),
            c.size,
            str(c.tables),
            _of(c.claimed, c.alike),
            str(c.tables_with_claims) if c.alike else "–",
            f"{_of(c.determined, c.differing)}: {c.determined / c.differing:.2f}" if c.differing else "–",
            "–" if c.ratio is None else f"{c.ratio:.2f}",
        )
        for c in counts
    ]
    return [f"| {' | '.join(row)} |" for row in ([name for name, _ in HEAD], ["---"] * len(HEAD), *rows)]


def _of(some: int, every: int) -> str:
    return f"{some} of {every}" if every else "–"


def _in_all(counts: Sequence[Count]) -> str:
    judged = [c for c in counts if c.alike]
    claimed, alike = sum(c.claimed for c in judged), sum(c.alike for c in judged)
    having, tables = sum(c.tables_with_claims for c in judged), sum(c.tables for c in judged)
    told = f"In all {_of(claimed, alike)} planes of sources alike are told as determined"
    return f"{told}, in {having} of {tables} tables."


def write(folder: Path, counts: Sequence[Count]) -> None:
    """determined.json and determined.md in a folder."""
    record = [asdict(c) for c in counts]
    (folder / "determined.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    (folder / "determined.md").write_text(report(counts))


def read(folder: Path) -> list[Count]:
    """What determined.json of a folder holds."""
    record: list[dict[str, Any]] = json.loads((folder / "determined.json").read_text())
    return [Count(**entry) for entry in record]


def main() -> None:
    """Count every setting, telling each as it is done."""
    counts: list[Count] = []
    with threadpool_limits(1):
        for section, settings in SECTIONS.items():
            for setting in settings:
                judged = [one_table(setting, table) for table in range(setting.tables)]
                counts.append(count(section, setting, judged))
                print(_table(counts[-1:])[-1], flush=True)
    write(HERE, counts)


if __name__ == "__main__":
    main()
