"""Timing side by side, and the matrix products inside a piece of work on their own."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

Work = Callable[[], object]
#: Name of a product and the shapes of its two factors.
Product = tuple[str, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Race:
    """Seconds of each piece of work in each round."""

    seconds: dict[str, list[float]]

    def median(self, name: str) -> float:
        """Median seconds of a piece of work."""
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """Median over rounds of the seconds of one over those of the other in the same round."""
        return statistics.median(a / b for a, b in zip(self.seconds[slow], self.seconds[fast], strict=True))

    def to_dict(self) -> dict[str, dict[str, float]]:
        """Median and least seconds of each."""
        return {name: {"median_s": self.median(name), "least_s": min(s)} for name, s in self.seconds.items()}


_FACTORS = {"mm": (0, 1), "addmm": (1, 2), "addmm_": (1, 2), "bmm": (0, 1), "baddbmm": (1, 2)}


def race(works: Mapping[str, Work], repeats: int, device: torch.device) -> Race:
    """Seconds of each piece of work, taken in turn so that a busy moment meets all of them."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(repeats):
        for name, work in works.items():
            _wait(device)
            started = time.perf_counter()
            work()
            _wait(device)
            taken[name].append(time.perf_counter() - started)
    return Race(taken)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Recorder(TorchDispatchMode):
    """Counts the matrix products that go by."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[Product] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in _FACTORS:
            left, right = (tuple(args[i].shape) for i in _FACTORS[name])
            self.found["bmm" if "bmm" in name else "mm", left, right] += 1
        return func(*args, **(kwargs or {}))


def products_of(work: Work) -> Counter[Product]:
    """The matrix products that a piece of work takes, whatever surrounds them."""
    with _Recorder() as recorder:
        work()
    return recorder.found


def operations(products: Counter[Product]) -> float:
    """Floating-point operations of the products: two for each multiplication."""
    total = 0.0
    for (_, left, right), count in products.items():
        rows = 1
        for size in left:
            rows *= size
        total += 2.0 * rows * right[-1] * count
    return total


def replay(products: Counter[Product], like: Tensor) -> Work:
    """The same products by plain ``torch.mm`` and ``torch.bmm`` into memory that is there, and nothing else."""
    generator = torch.Generator().manual_seed(0)

    def normal(shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=generator).to(like)

    ready = [
        (getattr(torch, kind), normal(left), normal(right), like.new_empty(*left[:-1], right[-1]), count)
        for (kind, left, right), count in products.items()
    ]

    def run() -> None:
        with torch.inference_mode():
            for product, left, right, out, count in ready:
                for _ in range(count):
                    product(left, right, out=out)

    return run
