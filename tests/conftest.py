"""Settings that all tests share."""

import os

import pytest
from hypothesis import settings

# Simulations are no matter of milliseconds, and examples are the same in every run.
settings.register_profile("iosim", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("iosim")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """With `-n auto`, two a core: tests of real servers wait most of their time."""
    return 2 * len(os.sched_getaffinity(0))
