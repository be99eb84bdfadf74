"""Each probe gives what it names; what the profile's costs are worked out from has a probe."""

import math
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import iosim
from iosim.calibration.probes import needs, registry
from iosim.calibration.probes.registry import FAMILIES, Place, Probe, catalogue
from iosim.calibration.probes.running import SOURCES, run
from iosim.errors import MeasurementError

CPUS = needs.usable_cpus()
ALL = catalogue()


def key(lang: str, figure: tuple[str, str]) -> str:
    return f"{lang} {figure[0]} {figure[1]}".strip()


FIRST = {(probe.lang, probe.family, probe.function): probe for probe in reversed(ALL)}
"""Each function with the first of its arguments: others would take long."""


@pytest.mark.parametrize("probe", FIRST.values(), ids=str)
def test_a_probe_gives_positive_samples_of_each_of_its_figures(probe: Probe) -> None:
    reason = needs.missing(probe)
    if reason is not None:
        pytest.skip(reason)
    found = run(probe, Place(CPUS[0], CPUS[-1], samples=3))
    assert set(found) == set(probe.figures)
    for samples in found.values():
        assert len(samples) == 3
        assert all(math.isfinite(sample) for sample in samples)
        assert max(samples) > 0


def test_no_figure_comes_from_two_probes() -> None:
    counts = Counter(key(probe.lang, figure) for probe in ALL for figure in probe.figures)
    assert [name for name, count in counts.items() if count > 1] == []


def test_every_row_of_the_reference_has_a_probe() -> None:
    figures = {key(probe.lang, figure) for probe in ALL for figure in probe.figures}
    entries = iosim.load_profile("reference").entries.values()
    named = {row for entry in entries for row, _ in entry.rows}
    assert named
    assert {row for row in named if not row.startswith("go ")} - figures == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_probe_in_python_says_what_it_measures(family: str) -> None:
    module = import_module(f"{registry.__package__}.{family}")
    own = [probe for probe in ALL if probe.family == family and probe.lang == "py"]
    for probe in own:
        assert len(getattr(module, probe.function).__doc__) > 40
    assert [probe for probe in ALL if probe.family == family]


@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.c")), ids=lambda path: path.name)
def test_a_probe_in_c_says_what_it_measures_and_is_in_the_catalogue(path: Path) -> None:
    text = path.read_text()
    families = {probe.function: probe.family for probe in ALL if probe.lang == "c"}
    for name in re.findall(r"^PROBE\((\w+)\)$", text, re.MULTILINE):
        assert re.search(rf"\*/\nPROBE\({name}\)$", text, re.MULTILINE), name
        assert families[name] == path.stem


def refused(probe: Probe) -> str:
    """Why `probe` comes to nothing, though all it needs is there."""
    reason = needs.missing(probe)
    if reason is not None:
        pytest.skip(reason)
    with pytest.raises(MeasurementError) as caught:
        run(probe, Place(CPUS[0], CPUS[-1], 3))
    return str(caught.value)


@pytest.mark.parametrize(
    ("lang", "function", "arguments"),
    [("c", "poll_ready", (10_000_000,)), ("py", "epoll_poll", (10_000_000, 1))],
)
def test_a_probe_that_is_not_possible_says_why(
    lang: str, function: str, arguments: tuple[int, ...]
) -> None:
    lacking = frozenset({"compiler"} if lang == "c" else ())
    probe = Probe(lang, "readiness", function, arguments, (("x", ""),), 3, lacking, True)
    assert re.fullmatch(r"it needs 20000064 open files, and may have \d+", refused(probe))


def test_figures_that_are_not_the_probe_s_are_refused() -> None:
    compiled = frozenset({"compiler"})
    probe = Probe("c", "syscalls", "null_syscall", (), (("other", ""),), 3, compiled, True)
    assert "gave ('null_syscall', 'getppid') where ('other', '') was due" in refused(probe)
    probe = Probe("py", "syscalls", "empty_call", (), (("a", ""), ("b", "")), 3, frozenset(), True)
    assert refused(probe) == "the probe py empty_call ended: with exit code 0"
    probe = Probe("c", "syscalls", "no_such", (), (("x", ""),), 3, compiled, True)
    assert refused(probe) == "there is no probe no_such"


def test_a_machine_of_one_core_lacks_another(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Probe("py", "threads", "x", (), (("x", ""),), 3, frozenset({needs.TWO_CORES}), True)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    assert needs.missing(two) == "it needs two cores, and may use one"
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 4})
    assert needs.missing(two) is None
