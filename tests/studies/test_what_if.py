"""What-if: what a known change moves is what it is said to move."""

from typing import Any

import pytest

from iosim.errors import UsageError
from iosim.profile import load as load_profile
from iosim.report.study import to_csv, to_markdown, to_text
from iosim.report.what_if import answer
from iosim.scenario import Scenario, from_data
from iosim.studies.alternatives import assignments
from iosim.studies.what_if import Effect, WhatIf, what_if

SMALL: dict[str, Any] = {
    "name": "small",
    "server": {"handler": [{"cpu": "20us"}, {"call": "db"}]},
    "devices": {"db": {"remote": {"latency": "100us", "concurrency": 8}}},
    "workload": {"open": {"rate": "5k/s", "connections": {"total": 16}}},
    "models": ["epoll", "blocking"],
    "run": {"duration": "60ms", "replications": 3, "warm_up": "none"},
}


def scenario(**changes: Any) -> Scenario:
    return from_data({**SMALL, **changes})


@pytest.fixture(scope="module")
def found() -> WhatIf:
    changes = (
        "profile.context_switch=x4",
        "server.handler.0.cpu=40us",
        "devices.db.remote.latency=200us",
        "workload.open.rate=5k/s",
    )
    return what_if(scenario(), changes)


def effects(found: WhatIf, index: int) -> dict[str, Effect]:
    return {effect.label: effect for effect in found.changes[index].effects}


def movers(cause: Any) -> list[str]:
    return [name for name, _ in cause.movers]


def test_a_dearer_switch_moves_the_switches_part_of_cpu(found: WhatIf) -> None:
    for effect in effects(found, 0).values():
        assert effect.cpu is not None and effect.cpu.whole.verdict == "worse"
        assert movers(effect.cpu)[0] == "switch"
        switch = effect.cpu.parts["switch"].difference.mean or 0
        assert switch == pytest.approx(effect.cpu.whole.difference.mean, rel=0.15)
    # A thread a connection sleeps twice a request, and pays it about as often.
    blocking = effects(found, 0)["blocking"]
    assert blocking.cpu is not None
    dearer_ns = 3 * load_profile("reference").costs.context_switch_ns
    assert 1.5 * dearer_ns < (blocking.cpu.parts["switch"].difference.mean or 0) < 4 * dearer_ns


def test_more_computing_moves_the_users_part(found: WhatIf) -> None:
    for effect in effects(found, 1).values():
        assert effect.cpu is not None and movers(effect.cpu)[0] == "user"
        assert effect.cpu.parts["user"].difference.mean == pytest.approx(20_000, rel=0.02)


def test_a_slower_device_moves_the_devices_part(found: WhatIf) -> None:
    for effect in effects(found, 2).values():
        assert effect.time is not None and movers(effect.time)[0] == "device"
        assert effect.time.parts["device"].difference.mean == pytest.approx(100_000, rel=0.05)


def test_parts_add_up_to_the_whole(found: WhatIf) -> None:
    for change in found.changes:
        for effect in change.effects:
            for cause in (effect.time, effect.cpu):
                assert cause is not None
                parts = sum(part.difference.mean or 0 for part in cause.parts.values())
                assert parts == pytest.approx(cause.whole.difference.mean, abs=1)


def test_what_changes_nothing_differs_in_nothing(found: WhatIf) -> None:
    for effect in effects(found, 3).values():
        verdicts = {each.verdict for each in effect.pair.differences.values()}
        assert verdicts <= {"no difference shown", "unknown"}
        assert {each.difference.mean for each in effect.pair.differences.values()} <= {0, None}


def test_it_is_shown_in_80_columns_with_the_cause(found: WhatIf) -> None:
    text = to_text(answer(found))
    assert max(map(len, text.splitlines())) <= 80
    told = " ".join(text.split())
    assert "server.handler.0.cpu=40us: epoll: mean response time +" in told
    assert "(of it switch +" in told
    assert "| blocking |" in to_markdown(answer(found))
    assert len(to_csv(answer(found)).splitlines()) > 100


def test_a_joint_change_is_one_alternative() -> None:
    (change,) = what_if(scenario(), ["runtime=cpython, machine.cores=2"]).changes
    assert change.results.scenario.machine.runtime == "cpython"
    assert change.results.scenario.machine.cores == 2
    assert change.results.scenario.models == scenario().models


def test_a_profile_is_a_change_and_a_cost_of_it_too() -> None:
    texts = ["profile=no_mitigations", "profile=no_mitigations, profile.syscall=1us"]
    first, second = what_if(scenario(models=["epoll"]), texts).changes
    assert first.results.costs == load_profile("no_mitigations").costs
    assert second.results.costs is not None and second.results.costs.syscall_ns == 1_000


def test_commas_in_brackets_and_quotes_part_nothing() -> None:
    text = "workload.open.connections={total: 4, active: 2}, models.x.label='a, b', machine.cores=2"
    assert [path for path, _ in assignments(text)] == [
        "workload.open.connections",
        "models.x.label",
        "machine.cores",
    ]


def test_all_that_is_wrong_is_told_at_once() -> None:
    texts = ["machine.core=2", "profile.swich=x2", "profile=refrence", "cores", "machine.cores=4"]
    with pytest.raises(UsageError) as refused:
        what_if(scenario(), texts)
    lines = str(refused.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"--change {text}" for text in texts[:4]]
    assert "did you mean 'cores'?" in lines[0]
    assert "expected path=value" in lines[3]
    with pytest.raises(UsageError, match="expected a change"):
        what_if(scenario(), [])


def test_interrupted_it_shows_the_changes_that_have_finished() -> None:
    runs = 2 * 3

    def interrupt(done: int, total: int) -> None:
        assert total == 3 * runs
        if done == 2 * runs + 1:
            raise KeyboardInterrupt

    found = what_if(scenario(), ["machine.cores=2", "machine.cores=3"], progress=interrupt)
    assert found.interrupted
    assert [change.text for change in found.changes] == ["machine.cores=2"]
    assert "Interrupted" in to_text(answer(found))
    assert "Interrupted" in to_text(answer(found), quiet=True)


def test_where_no_difference_is_shown_it_is_told_how_far_it_may_be(found: WhatIf) -> None:
    """Beside the sign for it, never without."""
    cells = [
        cell
        for table in answer(found).tables[1:]
        for row in table.rows
        for cell in row
        if cell.text == "="
    ]
    assert cells
    assert all(cell.interval.startswith("±") for cell in cells)
