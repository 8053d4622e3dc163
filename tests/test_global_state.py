"""The guard itself: a test that leaves a global changed fails, the next one finds it as it was."""

import pytest

CHANGES = {
    "torch's number of threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "torch's default dtype": "torch.set_default_dtype(torch.float64)",
    "torch's default device": "torch.set_default_device('meta')",
    "torch's grad mode": "torch.set_grad_enabled(False)",
    "torch's deterministic algorithms": "torch.set_deterministic_debug_mode('error')",
    "torch's precision of matrix products": "torch.set_float32_matmul_precision('medium')",
    "torch's generator": "torch.rand(1)",
    "numpy's generator": "np.random.seed(1)",
}


@pytest.mark.parametrize("where", ["the test", "a fixture of the module"])
def test_every_change_is_charged_to_the_test_that_made_it(pytester, where):
    fixture = "@pytest.fixture(scope='module')\ndef change_{0}(): {1}\ndef test_{0}(change_{0}): pass\n"
    test = "def test_{0}(): {1}\n"
    text = fixture if where != "the test" else test
    tests = [text.format(index, change) for index, change in enumerate(CHANGES.values())]
    pytester.makepyfile("import numpy as np, pytest, torch\n" + "".join(tests) + "def test_nothing(): pass\n")
    outcome = pytester.runpytest_inprocess("-p", "tests.global_state", "-p", "no:cacheprovider", "--tb=line")
    outcome.assert_outcomes(passed=len(CHANGES) + 1, errors=len(CHANGES))
    # The summary says them again, in full where CI is set.
    told = [line for line in outcome.outlines if line.startswith("E ")]
    assert all(sum(line.endswith(f"left changed: {name}") for line in told) == 1 for name in CHANGES)
