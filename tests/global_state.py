"""A plugin of pytest: a test that leaves a setting or a generator of torch or numpy changed, fails.

Such a test passes alone and makes others pass or fail by their order. The state is compared around all of a test, the
fixtures that it is the first to ask for included, and put back, so that only the one at fault fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch


class Global(NamedTuple):
    """What is shared by the whole process: how to read it, and how to put it back."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


def _numpy_state() -> tuple[Any, ...]:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 the global generator is what is watched
    return name, tuple(keys), *rest


GLOBALS = (
    Global("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    Global("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
    Global("torch's default device", torch.get_default_device, torch.set_default_device),
    Global("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled),
    Global(
        "torch's deterministic algorithms",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
    Global(
        "torch's precision of matrix products",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    ),
    Global(
        "torch's generator",
        lambda: torch.get_rng_state().numpy().tobytes(),
        lambda state: torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8)),
    ),
    Global("numpy's generator", _numpy_state, np.random.set_state),
)

BEFORE = pytest.StashKey[list[Any]]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    item.stash[BEFORE] = [each.read() for each in GLOBALS]
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    result = yield
    changed = []
    for each, before in zip(GLOBALS, item.stash[BEFORE], strict=True):
        if each.read() != before:
            each.restore(before)
            changed.append(each.name)
    assert not changed, f"the test left changed: {', '.join(changed)}"
    return result
