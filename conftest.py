"""What holds for tests and doctests alike."""

pytest_plugins = ["pytester", "tests.global_state"]
