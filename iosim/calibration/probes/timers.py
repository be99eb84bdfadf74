"""Probes of timers: how much later than asked for a thread that sleeps goes on.

Validated by: tests/calibration/test_probes.py
"""

import select
import time
from collections.abc import Callable

from iosim.calibration.probes.registry import Place, Series, native, probe

_SLACK_NS = {"slack50us": 50_000, "slack1ns": 1}

native(__name__, "timerfd_set", "timerfd_settime")
for _slack, _slack_ns in _SLACK_NS.items():
    for _us, _samples, _quick in ((50, 400, True), (1000, 150, False)):
        for _timer in ("nanosleep", "timerfd"):
            native(
                __name__, f"{_timer}_overshoot", f"{_timer}_overshoot|{{0}}us;{_slack}",
                arguments=[(_us, _slack_ns)], samples=_samples, quick=_quick,
            )  # fmt: skip
    native(
        __name__, "epoll_wait_overshoot", f"epoll_wait_1ms_overshoot|{_slack}",
        arguments=[(_slack_ns,)], samples=150,
    )  # fmt: skip


def _overshoot(place: Place, asked_ns: int, sleep: Callable[[], object]) -> Series:
    samples = []
    for _ in range(place.samples):
        begun_ns = time.perf_counter_ns()
        sleep()
        samples.append(float(time.perf_counter_ns() - begun_ns - asked_ns))
    return [samples]


@probe("time.sleep_overshoot|{0}us", arguments=[(50,), (1000,)], samples=150)
def sleep_overshoot(place: Place, us: int) -> Series:
    """time.sleep, beyond what was asked for: slack, the way out of idle, the interpreter lock."""
    return _overshoot(place, us * 1000, lambda: time.sleep(us / 1e6))


@probe("epoll.poll_1ms_overshoot", samples=150)
def epoll_overshoot(place: Place) -> Series:
    """The same by an epoll.poll that finds nothing; its time-out is in whole milliseconds."""
    epoll = select.epoll()
    return _overshoot(place, 1_000_000, lambda: epoll.poll(0.001))


@probe("select_1ms_overshoot", samples=150)
def select_overshoot(place: Place) -> Series:
    """The same by a select of no descriptor; its time-out is in microseconds."""
    return _overshoot(place, 1_000_000, lambda: select.select((), (), (), 0.001))
