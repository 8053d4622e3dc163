"""Where to compute, in which precision, and on how many threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from latentflow.errors import LatentFlowError

#: In which the flow may be integrated.
PRECISIONS = ("float64", "float32")


def choose_device(name: str) -> torch.device:
    """The torch device of a name; ``auto`` is CUDA when there is one, else the CPU.

    Raises
    ------
    LatentFlowError
        If torch does not know the device, or it is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise LatentFlowError(f"device {name!r} is not available here: try --device auto or cpu") from error
    return device


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one CPU thread: the matrices of a training step are small.

    A second thread makes a step a fifth faster on idle cores and many times slower on shared ones, where threads
    spin while they wait for each other. One thread also gives the same bits whatever the number of cores.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
