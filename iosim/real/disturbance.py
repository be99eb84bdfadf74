"""What else happened on the machine while a run was measured, and how much of it is too much.

A run is disturbed when the host took the server's cores away, when other processes had them,
or when the clients' process could not keep up: then the figures are not the server's.

    STOLEN_MOST   2% of the cores' time. Half of what a prediction of CPU per request should
                  be off at most (5%), as lost time also moves work from one core to another.
    OTHERS_MOST   5% of the cores' time: as much as that error itself.
    TICKS_LEAST   /proc/stat counts ticks of 10 ms: fewer than three of them tell nothing.
    MARKS_MOST    5% of the window: the server told its counters so much too late that it must
                  have been kept from its cores.
    BUSY_MOST     90% of the time in which the clients' process has something to do. As in any
                  queue, its requests wait for it from there on.
    LATE_P50_MOST 10% of the median response time, which begins when a request was to be sent.
    LATE_P99_MOST 50% of the 99th percentile: the tail must be mostly the server's.
    LATE_LEAST_NS lateness below 20 us is that of any program.

Other processes' time is what the cores were neither idle nor stolen, less the server's own CPU
time; interrupts on the server's cores that are for others count as others.

Validated by: tests/real/test_disturbance.py
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from iosim.record import Interference, Record
from iosim.units import format_duration_ns, format_percent

STOLEN_MOST: Final = 0.02
OTHERS_MOST: Final = 0.05
TICKS_LEAST: Final = 3
MARKS_MOST: Final = 0.05
MARKS_LEAST_NS: Final = 10_000_000
BUSY_MOST: Final = 0.9
LATE_P50_MOST: Final = 0.1
LATE_P99_MOST: Final = 0.5
LATE_LEAST_NS: Final = 20_000

ATTEMPTS: Final = 4
"""A disturbed run is repeated three times at most."""


@dataclass(frozen=True)
class CoreTimes:
    """Time since the start of the machine, summed over some cores."""

    idle_ns: int
    """`iowait` included: nothing ran."""
    stolen_ns: int

    def since(self, then: "CoreTimes") -> "CoreTimes":
        """What has been added."""
        return CoreTimes(self.idle_ns - then.idle_ns, self.stolen_ns - then.stolen_ns)


def core_times(cpus: Iterable[int], stat: str | None = None) -> CoreTimes:
    """Those of `cpus` now, as /proc/stat has it."""
    text = Path("/proc/stat").read_text() if stat is None else stat
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    names = {f"cpu{cpu}" for cpu in cpus}
    idle = stolen = 0
    for line in text.splitlines():
        name, *ticks = line.split()
        if name in names:
            # user, nice, system, idle, iowait, irq, softirq, steal, ...
            idle += int(ticks[3]) + int(ticks[4])
            stolen += int(ticks[7])
    return CoreTimes(idle * tick_ns, stolen * tick_ns)


def excesses(
    found: Interference, window_ns: int, p50_ns: float | None, p99_ns: float | None
) -> dict[str, float]:
    """What is beyond its limit, by name, each as a multiple of it."""
    tick_ns = 1_000_000_000 / os.sysconf("SC_CLK_TCK")
    least = TICKS_LEAST * tick_ns / found.cores_ns if found.cores_ns else 0
    multiples = {
        "stolen": found.stolen_ns / found.cores_ns / max(STOLEN_MOST, least),
        "others": found.others_ns / found.cores_ns / max(OTHERS_MOST, least),
        "marks": found.marks_late_ns / max(MARKS_MOST * window_ns, MARKS_LEAST_NS),
        "busy": found.busy_fraction / BUSY_MOST,
    }
    for name, late_ns, response_ns, most in (
        ("late_p50", found.late_p50_ns, p50_ns, LATE_P50_MOST),
        ("late_p99", found.late_p99_ns, p99_ns, LATE_P99_MOST),
    ):
        if response_ns:
            multiples[name] = late_ns / max(most * response_ns, LATE_LEAST_NS)
    return {name: multiple for name, multiple in multiples.items() if multiple > 1}


def of_record(record: Record) -> dict[str, float]:
    """`excesses` of a measured run."""
    if record.process is None or record.process.interference is None:
        return {}
    responses = record.responses
    p50_ns = responses.percentile(50) if responses.count else None
    p99_ns = responses.percentile(99) if responses.count else None
    return excesses(record.process.interference, record.window_ns, p50_ns, p99_ns)


def least_disturbed(attempts: Sequence[Record]) -> Record:
    """Of several runs the one whose worst excess is the smallest; the last of equals."""
    return min(reversed(attempts), key=lambda record: max(of_record(record).values(), default=0))


def warnings(records: Sequence[Record]) -> list[str]:
    """What disturbed runs that were kept all the same, for all replications of a model."""
    disturbed = [record for record in records if of_record(record)]
    if not disturbed:
        return []
    told = []
    worst = [record.process.interference for record in disturbed if record.process is not None]
    found = [each for each in worst if each is not None]
    names = {name for record in disturbed for name in of_record(record)}
    if "stolen" in names:
        most = max(each.stolen_ns / each.cores_ns for each in found)
        told.append(f"the host took up to {format_percent(most)} of its cores' time")
    if "others" in names:
        most = max(each.others_ns / each.cores_ns for each in found)
        told.append(f"other processes had up to {format_percent(most)} of its cores' time")
    if "marks" in names:
        most_ns = max(each.marks_late_ns for each in found)
        late = format_duration_ns(most_ns).replace(" ", "")
        told.append(f"it could not run for up to {late} when it was asked for its counters")
    if "busy" in names:
        most = max(each.busy_fraction for each in found)
        told.append(f"the clients' process was busy up to {format_percent(most)} of the time")
    for name in ("late_p50", "late_p99"):
        if name in names:
            late_ns = max(getattr(each, f"{name}_ns") for each in found)
            told.append(
                f"requests were sent late ({name.removeprefix('late_')} up to "
                f"{format_duration_ns(late_ns).replace(' ', '')})"
            )
    again = max(each.attempts for each in found) - 1
    though = f", though repeated {again} times" if again else ""
    bottleneck = names & {"busy", "late_p50", "late_p99"}
    ending = "; the clients' process was the bottleneck" if bottleneck else ""
    return [
        f"disturbed in {len(disturbed)} of {len(records)} replications{though}: "
        f"{', '.join(told)}{ending}"
    ]
