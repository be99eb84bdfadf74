"""Probes of what it costs to bring a working set back into the caches.

Validated by: tests/calibration/test_probes.py
"""

from iosim.calibration.probes.registry import native

for _kib, _samples, _quick in (
    (16, 200, True), (64, 200, True), (256, 100, True), (1024, 40, True),
    (4096, 20, False), (16384, 8, False),
):  # fmt: skip
    native(
        __name__, "cache_refill", "cache_refill|ws={0}KiB;alone", "cache_refill|ws={0}KiB;shared",
        arguments=[(_kib,)], samples=_samples, quick=_quick,
    )  # fmt: skip
