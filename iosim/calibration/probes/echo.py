"""Probes of a server that does nothing but answer: what sleeping between requests costs it.

Validated by: tests/calibration/test_probes.py
"""

from typing import Final

from iosim.calibration.probes.needs import TWO_CORES
from iosim.calibration.probes.registry import native

GAPS_US: Final = (30, 100, 300, 1000)

for _way in ("epoll", "blocking"):
    native(
        __name__, f"echo_by_{_way}",
        *(
            f"echo_zero_demand_{what}|{_way};gap={gap_us}us"
            for gap_us in GAPS_US
            for what in ("response", "server_cpu")
        ),
        arguments=[GAPS_US], samples=600, needs=[TWO_CORES],
    )  # fmt: skip
