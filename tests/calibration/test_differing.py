"""Two profiles side by side, and what the other one changes."""

from pathlib import Path

import numpy as np
import pytest

from iosim.calibration.differing import differences, effects, quick_scenarios
from iosim.profile import load
from iosim.report.profiles import changing
from iosim.results import Results
from iosim.simulation import simulate

REFERENCE = load("reference")
SCENARIO = (
    "server: {handler: [{cpu: 20us}]}\n"
    "workload: {open: {rate: 5k/s, connections: {total: 16}}}\n"
    "models: [epoll]\nrun: {duration: 40ms, warm_up: 10ms, seed: 3}\n"
)


def test_only_what_differs_with_its_factor() -> None:
    other = load("reference", changes={"futex": "100ns", "idle_exit": "x3", "lock": "x1.5"})
    found = {one.name: one for one in differences(REFERENCE, other)}
    assert list(found) == ["idle_exit", "lock", "futex"]
    assert [found[name].factor for name in found] == pytest.approx([3, 1.5, 2])
    assert [found[name].noticeable for name in found] == [True, False, False]
    assert differences(REFERENCE, REFERENCE) == ()


def test_a_cost_of_nothing_has_no_factor() -> None:
    found = {one.name: one for one in differences(load("free"), REFERENCE)}
    assert found["syscall"].factor is None
    assert found["syscall"].noticeable


def test_tables_with_other_points_are_compared_at_all_of_them() -> None:
    other = load("bare_metal")
    bare = {one.name: one for one in differences(REFERENCE, other)}
    tables = [np.array(profile.costs.idle_exit_ns) for profile in (REFERENCE, other)]
    idle_ns = np.union1d(tables[0][:, 0], tables[1][:, 0])
    a, b = (np.interp(idle_ns, *table.T) for table in tables)
    assert bare["idle_exit"].factor == pytest.approx(np.exp(np.log(b / a).mean()), rel=1e-3)


def test_what_it_changes_is_a_paired_difference(tmp_path: Path) -> None:
    path = tmp_path / "light.yaml"
    path.write_text(SCENARIO)
    other = load("reference", changes={"idle_exit": "x2"})
    told: list[tuple[int, int]] = []
    found = effects(REFERENCE, other, [path], lambda done, total: told.append((done, total)))
    change = {one.metric: one.change for one in found}
    p50 = change["response_time_p50_ns"]
    # About 30 us more of about 100.
    assert p50.low is not None and p50.low > 0.15
    # The same requests: nothing is left of chance.
    throughput = change["throughput_per_s"]
    assert throughput.mean == pytest.approx(0, abs=0.02)
    assert told[-1] == (6, 6)
    same = effects(REFERENCE, REFERENCE, [path])
    assert all(one.change.mean == 0 for one in same)


def test_the_quick_scenarios_are_there_and_make_sense() -> None:
    found = quick_scenarios()
    assert len(found) == 3
    assert all(path.is_file() for path in found)


def test_an_effect_is_what_the_simulation_says(tmp_path: Path) -> None:
    from iosim.scenario import load as load_scenario

    path = tmp_path / "light.yaml"
    path.write_text(SCENARIO)
    (own,) = simulate(load_scenario(path, [("run.replications", "3")]), REFERENCE).models
    found = {one.metric: one for one in effects(REFERENCE, REFERENCE, [path])}
    cpu = found["cpu_time_per_request_ns"]
    assert cpu.a == cpu.b == pytest.approx(own.metrics["cpu_time_per_request_ns"].mean)


def test_replications_are_not_paired_where_a_run_ended_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those behind the one that failed have moved up."""
    path = tmp_path / "light.yaml"
    path.write_text(SCENARIO)
    from dataclasses import replace

    from iosim.calibration import differing

    runs = []

    def failing(*args: object, **more: object) -> Results:
        found: Results = simulate(*args, **more)  # type: ignore[arg-type]
        runs.append(found)
        if len(runs) == 2:
            return found
        (own,) = found.models
        values = {name: known[1:] for name, known in own.values.items()}
        return replace(found, models=(replace(own, error="deadlock", values=values),))

    monkeypatch.setattr(differing, "simulate", failing)
    found = effects(REFERENCE, REFERENCE, [path])
    assert len(found) == 5
    assert {(one.change.mean, one.missing) for one in found} == {(None, "deadlock")}
    (table,) = changing(REFERENCE, REFERENCE, found)
    assert table.notes[0].startswith("epoll: no change told of requests/s, p50, ")
