"""`iosim.trace`: a model's run in a file, or the reason why there is none."""

from pathlib import Path
from typing import Any

import pytest
from oracle import read

import iosim
from iosim.report.perfetto import simulated
from iosim.scenario import Scenario, from_data

DATA: dict[str, Any] = {
    "workload": {"open": {"rate": "10k/s", "connections": {"total": 5}}},
    "models": ["epoll", {"epoll": {"label": "blocking"}}],
    "run": {"duration": "100ms", "warm_up": "20ms"},
}


def scenario(**changed: Any) -> Scenario:
    return from_data({**DATA, **changed})


def test_a_trace_shows_the_beginning_of_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.pftrace"
    written = iosim.trace(scenario(), "epoll", path, duration="10ms")
    assert (written.path, written.size_bytes) == (path, path.stat().st_size)
    assert (written.model, written.duration_ns) == ("epoll", 10_000_000)
    found = read(path)
    assert written.packets == found.packets
    requests = [piece for piece in found.named("requests") if piece.name.startswith("request")]
    first_ns = min(piece.from_ns for piece in requests)
    last_ns = max(piece.from_ns for piece in requests)
    assert 8_000_000 < last_ns - first_ns < 11_000_000
    assert str(written).startswith(f"{path}: 10.0 ms of epoll, {written.packets:,} packets, ")


def test_by_default_it_is_short(tmp_path: Path) -> None:
    assert iosim.trace(scenario(), "epoll", tmp_path / "a").duration_ns == 50_000_000
    short = scenario(run={"duration": "5ms", "warm_up": "none"})
    for duration in (None, "20ms"):
        written = iosim.trace(short, "epoll", tmp_path / "a", duration=duration)
        assert written.duration_ns == 5_000_000


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        iosim.trace(scenario(), "epoll", tmp_path / name, duration="5ms")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_label_goes_before_a_kind(tmp_path: Path) -> None:
    iosim.trace(scenario(), "blocking", tmp_path / "a", duration="2ms")
    assert {name for _, name in read(tmp_path / "a").threads.values()} == {"main"}


def test_a_scenario_of_one_model_needs_no_name(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert iosim.trace(scenario(models=["poll"]), None, path, duration=1000).model == "poll"


@pytest.mark.parametrize(
    ("model", "duration", "told"),
    [
        ("epol", None, "model: expected one of this scenario's .* found 'epol'; did you mean"),
        (None, None, "model: expected one of this scenario's .*, found none"),
        ("epoll", "0ms", "duration: expected more than 0"),
        ("epoll", "5 parsecs", "duration: .*expected"),
    ],
)
def test_what_makes_no_sense_is_told(
    model: str | None, duration: str | None, told: str, tmp_path: Path
) -> None:
    with pytest.raises(iosim.IosimError, match=told):
        iosim.trace(scenario(), model, tmp_path / "a", duration=duration)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(iosim.IosimError, match="cannot be written: No such file"):
        iosim.trace(scenario(), "epoll", tmp_path / "none" / "a", duration="1ms")


def test_of_a_run_that_ends_in_a_deadlock_there_is_a_trace(tmp_path: Path) -> None:
    stuck = from_data(
        {
            "machine": {"cores": 2},
            "workload": {
                "producer_consumer": {
                    "produce": {"exponential": "10us"},
                    "consume": {"exponential": "8us"},
                    "producers": 2,
                    "consumers": 2,
                }
            },
            "models": [{"threads": {"second_lock": "misordered"}}],
            "run": {"duration": "50ms"},
        }
    )
    path = tmp_path / "run.pftrace"
    with pytest.raises(iosim.IosimError, match="deadlock"):
        iosim.trace(stuck, None, path)
    found = read(path)
    # All are in the futex call from which they never return.
    last_ns = max(piece.to_ns for piece in found.slices)
    stuck_in = {piece.name for piece in found.slices if piece.to_ns == last_ns}
    assert "futex" in stuck_in


def test_of_a_run_that_is_interrupted_there_is_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(simulated.SimulatedRun):
        def over(self, request: Any, at_ns: int) -> None:
            super().over(request, at_ns)
            if request.number == 20:
                raise KeyboardInterrupt

    monkeypatch.setattr(simulated, "SimulatedRun", Impatient)
    path = tmp_path / "run.pftrace"
    with pytest.raises(KeyboardInterrupt):
        iosim.trace(scenario(), "epoll", path)
    assert any(piece.name == "request 20" for piece in read(path).named("requests"))
    assert list(tmp_path.iterdir()) == [path]
