"""A plan is read back as it was written, and its tables with it."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from iosim.real import plan as plans
from iosim.real.plan import CALL, CPU, SLEEP, DevicePlan, Plan, Step

PLAN = Plan(
    model="epoll",
    runtime="cpython",
    arrivals="users",
    server_cpus=(0, 2),
    client_cpus=(1,),
    duration_ns=10**9,
    warm_up_ns=10**8,
    limit_s=60,
    options={"trigger": "edge", "max_events": "512", "own": "-"},
    steps=(Step(CPU), Step(CALL, 1, 3), Step(SLEEP)),
    devices=(DevicePlan("blocking", 0), DevicePlan("socket", 16)),
    rows=2,
    columns=9,
    users=3,
)


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    requests = plans.flat([range(9), range(-9, 0)])
    plans.write(tmp_path, PLAN, requests, plans.flat([[5]]))
    assert plans.read(tmp_path) == PLAN
    assert plans.table(tmp_path, "requests").tolist() == requests.tolist()
    assert plans.table(tmp_path, "think").tolist() == [5]


@pytest.mark.parametrize("name", [f.name for f in fields(Plan) if f.type is int])
def test_each_number_is_its_own(tmp_path: Path, name: str) -> None:
    plan = replace(PLAN, **{name: 77})
    plans.write(tmp_path, plan, plans.flat([]), None)
    assert plans.read(tmp_path) == plan


def test_no_requests_are_an_empty_table(tmp_path: Path) -> None:
    plans.write(tmp_path, PLAN, plans.flat([]), None)
    assert plans.table(tmp_path, "requests").tolist() == []


def test_the_columns_of_a_step() -> None:
    assert [step.columns for step in PLAN.steps] == [1, 3, 1]
