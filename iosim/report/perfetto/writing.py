"""A model of a scenario, simulated once, its trace in a file.

    trace(scenario, "epoll", "run.pftrace", duration="50ms")

Validated by: tests/report/test_perfetto_writing.py, tests/cli/test_trace_command.py
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iosim.errors import Mismatch, SimulationError, UsageError, did_you_mean, shown

if TYPE_CHECKING:
    from iosim.choice import Chosen
    from iosim.profile import Profile
    from iosim.scenario import Scenario

USUAL_DURATION_NS = 50_000_000
"""A trace of everything is more than the UI can show."""


@dataclass(frozen=True)
class Written:
    """A trace in a file."""

    path: Path
    packets: int
    size_bytes: int
    model: str
    duration_ns: int
    """What of the run it shows, from the start of the load on."""

    def __str__(self) -> str:
        from iosim.units import format_duration_ns, format_size

        return (
            f"{self.path}: {format_duration_ns(self.duration_ns)} of {self.model}, "
            f"{self.packets:,} packets, {format_size(self.size_bytes)}; open it in "
            "https://ui.perfetto.dev"
        )


def trace(
    scenario: "Scenario",
    model: str | None,
    to: str | Path,
    profile: "Profile | str | Path | None" = None,
    duration: str | int | None = None,
) -> Written:
    """Simulate one replication of `model` (a label or kind) and write its trace to a file.

    model: None if the scenario has only one.
    duration: ns, or text with a unit; how much of the run, from the start of its load on, or all of
    it if it is shorter. None: 50 ms.
    Of a run that ends in an error (a deadlock) or is interrupted, what there is is written before
    that is raised. Raises UsageError, SimulationError.
    """
    from iosim.plugins import kinds
    from iosim.profile import Profile
    from iosim.profile import load as load_profile
    from iosim.report.export import opened_atomically
    from iosim.report.perfetto.packets import Packets
    from iosim.report.perfetto.simulated import SimulatedRun
    from iosim.scenario import label_of, require_sound
    from iosim.simulation import observe

    require_sound(scenario)
    chosen = _chosen(scenario, model)
    if not isinstance(profile, Profile):
        profile = (
            load_profile(scenario.machine.profile, scenario.folder)
            if profile is None
            else load_profile(profile)
        )
    shortened = _shortened(scenario, _duration_ns(duration, scenario.run.duration))
    path = Path(to)
    noun = kinds("workloads")[scenario.workload.kind].TRAFFIC.removesuffix("s")
    failed: BaseException | None = None
    with opened_atomically(path) as file:
        packets = Packets(file)
        run = SimulatedRun(packets, label_of(chosen), noun)
        try:
            observe(shortened, chosen, profile.costs, 0, run)
        except (SimulationError, KeyboardInterrupt) as reason:
            failed = reason
        run.finish()
        size_bytes = file.tell()
    if failed is not None:
        raise failed
    return Written(path, packets.written, size_bytes, label_of(chosen), shortened.run.duration)


def _chosen(scenario: "Scenario", name: str | None) -> "Chosen[Any]":
    from iosim.scenario import label_of

    if name is None and len(scenario.models) == 1:
        return scenario.models[0]
    for called in (label_of, lambda model: model.kind):
        for model in scenario.models:
            if called(model) == name:
                return model
    known = [label_of(model) for model in scenario.models]
    hint = did_you_mean(name, known) if name else ""
    raise UsageError(
        f"model: expected one of this scenario's ({', '.join(known)}), found "
        f"{shown(name) if name else 'none'}" + (f"; {hint}" if hint else "")
    )


def _duration_ns(wanted: str | int | None, whole_ns: int) -> int:
    from iosim.units import parse_duration

    if wanted is None:
        return min(USUAL_DURATION_NS, whole_ns)
    try:
        wanted_ns = parse_duration(wanted) if isinstance(wanted, str) else wanted
    except Mismatch as mismatch:
        raise UsageError(f"duration: {mismatch}") from None
    if wanted_ns <= 0:
        raise UsageError(f"duration: expected more than 0, found {shown(wanted)}")
    return min(wanted_ns, whole_ns)


def _shortened(scenario: "Scenario", duration_ns: int) -> "Scenario":
    """The same, up to here; a trace leaves nothing out."""
    run = scenario.run.model_copy(update={"duration": duration_ns, "warm_up": "none"})
    return scenario.model_copy(update={"run": run})
