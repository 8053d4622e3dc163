"""Fit, orient and measure mixtures of known sources beside other people's methods; write results.json.

    python reports/orientation/run.py --models FOLDER [--sets linear lrelu2 ...] [--widths 5] [--rows 10000] [--seeds 5]

Run it again to go on where it stopped: a run (mixture, width, rows, seed) is done again only for methods that
results.json does not hold yet, and FOLDER keeps the fits, so that no orientation wants another fit. ``--again auto``
measures methods anew. Peers: ``linear`` are quick, ``neural`` take a minute each; those that the installation lacks
are left out (``pip install '.[peers]'``, ``pip install cebra``). ``python reports/orientation/summary.py`` then
writes results.md and recovery.png.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # the recipes live in the repository, not in the package
# before numpy is loaded, here and in the processes that this one starts
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

from measures import Plan, Task, measure  # noqa: E402
from orientations import LABELS  # noqa: E402
from peers import PEERS  # noqa: E402

from datasets.orientation import NAMES  # noqa: E402

LINEAR = ("fastica", "picard", "sobi", "group_diagonalisation")
KINDS = {
    "linear": LINEAR,
    "neural": tuple(name for name in PEERS if name not in LINEAR),
    "all": tuple(PEERS),
    "none": (),
}


def chosen_peers(words: list[str]) -> tuple[str, ...]:
    """Names of peers, from names and the kinds linear, neural, all, none."""
    names = [name for word in words for name in KINDS.get(word, (word,))]
    return tuple(dict.fromkeys(names))


def entries(
    tasks: list[Task], plan: Plan, known: dict[str, Any], processes: int
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """Each run as it is done; in this process where one is enough."""
    if processes == 1:
        yield from ((task, measure(task, plan, known.get(task.key, {}))) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        running = {pool.submit(measure, task, plan, known.get(task.key, {})): task for task in tasks}
        for done in as_completed(running):
            try:
                yield running[done], done.result()
            except Exception as error:  # one run that fails must not take the night's others with it
                print(f"{running[done].key} failed: {error!r}", file=sys.stderr, flush=True)


def write(path: Path, found: dict[str, Any]) -> None:
    """Results in the order of their names, whole or not at all."""
    beside = path.with_suffix(".tmp")
    beside.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
    os.replace(beside, path)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", nargs="+", default=list(NAMES), help="any of datasets.orientation")
    parser.add_argument("--widths", nargs="+", type=int, default=[5], help="numbers of sources")
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000], help="rows to learn from")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--orientations", nargs="*", choices=list(LABELS), default=list(LABELS))
    parser.add_argument("--peers", nargs="+", choices=[*KINDS, *PEERS], default=["linear"])
    parser.add_argument("--preset", default="default")
    parser.add_argument("--models", type=Path, help="folder that keeps the fits")
    parser.add_argument("--again", nargs="+", default=[], metavar="METHOD", help="measure these anew")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure run after run; each is written as soon as it is there."""
    options = parse()
    found = json.loads(options.results.read_text()) if options.results.exists() else {}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    shapes = product(options.sets, options.widths, options.rows, seeds)
    tasks = [Task(*shape, options.preset) for shape in shapes]
    tasks.sort(key=lambda task: (task.seed, task.rows, task.width))  # a first picture of all sets comes early
    plan = Plan(tuple(options.orientations), chosen_peers(options.peers), options.models)
    for task in tasks:
        for method in options.again:
            found.get(task.key, {}).get("methods", {}).pop(method, None)
    for at, (task, entry) in enumerate(entries(tasks, plan, found, options.processes), 1):
        found[task.key] = entry
        write(options.results, found)
        told = {name: round(value["mcc"], 3) for name, value in entry["methods"].items() if "mcc" in value}
        print(f"{at}/{len(tasks)} {task.key} {json.dumps(told)}", flush=True)


if __name__ == "__main__":
    main()
