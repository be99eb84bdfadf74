"""Settings that all tests share."""

from hypothesis import settings

# Simulations are no matter of milliseconds, and examples are the same in every run.
settings.register_profile("iosim", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("iosim")
