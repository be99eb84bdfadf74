"""Alarms and agendas: SimPy events that are set again and again."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iosim.machine.agenda import Agenda
from iosim.machine.alarm import FAR_NS, NEVER, Alarm, act_ahead
from iosim.machine.clock import Clock


def at(env: Clock, ns: int, action: Callable[[], Any]) -> None:
    timeout = env.timeout(ns)
    assert timeout.callbacks is not None
    timeout.callbacks.append(lambda _: action())


@pytest.fixture
def env() -> Clock:
    return Clock(initial_time=0)


@pytest.fixture
def log() -> list[int]:
    return []


def test_an_alarm_acts_once_when_it_is_due(env: Clock, log: list[int]) -> None:
    alarm = Alarm(env, lambda: log.append(env._now))
    alarm.set(100)
    env.run(until=1_000)
    assert log == [100]
    assert alarm.due_ns == NEVER


def test_an_alarm_sets_itself_again(env: Clock, log: list[int]) -> None:
    def action() -> None:
        log.append(env._now)
        if len(log) < 4:
            alarm.set(env._now + 10 * len(log))

    alarm = Alarm(env, action)
    alarm.set(5)
    env.run(until=1_000)
    assert log == [5, 15, 35, 65]


def test_an_alarm_may_be_due_at_once(env: Clock, log: list[int]) -> None:
    alarm = Alarm(env, lambda: log.append(env._now))
    at(env, 50, lambda: alarm.set(50))
    env.run(until=1_000)
    assert log == [50]


def test_an_alarm_moved_later_acts_later_only(env: Clock, log: list[int]) -> None:
    alarm = Alarm(env, lambda: log.append(env._now))
    alarm.set(100)
    at(env, 50, lambda: alarm.set(300))
    env.run(until=1_000)
    assert log == [300]


def test_an_alarm_moved_earlier_acts_earlier_only(env: Clock, log: list[int]) -> None:
    alarm = Alarm(env, lambda: log.append(env._now))
    alarm.set(300)
    at(env, 50, lambda: alarm.set(100))
    env.run(until=1_000)
    assert log == [100]


def test_an_alarm_moved_there_and_back_acts_once(env: Clock, log: list[int]) -> None:
    alarm = Alarm(env, lambda: log.append(env._now))
    for due_ns in (300, 100, 300, 200, 300):
        alarm.set(due_ns)
    env.run(until=1_000)
    assert log == [300]


def test_a_cancelled_alarm_does_not_act_and_can_be_set_again(env: Clock, log: list[int]) -> None:
    alarm = Alarm(env, lambda: log.append(env._now))
    alarm.set(100)
    at(env, 50, alarm.cancel)
    at(env, 150, lambda: alarm.set(400))
    env.run(until=1_000)
    assert log == [400]


def test_setting_later_leaves_one_entry_in_the_heap(env: Clock) -> None:
    alarm = Alarm(env, lambda: None)
    for due_ns in range(100, 10_000, 100):
        alarm.set(due_ns)
    assert len(env._queue) == 1


def test_what_is_beyond_every_run_is_not_put_in_the_heap(env: Clock, log: list[int]) -> None:
    alarm = Alarm(env, lambda: log.append(env._now))
    for _ in range(50):
        alarm.set(FAR_NS + 1)
    assert len(env._queue) == 0
    alarm.set(100)
    env.run(until=1_000)
    assert log == [100]


def test_an_alarm_lives_beside_ordinary_simpy_processes(env: Clock) -> None:
    log: list[tuple[int, str]] = []

    def process() -> Any:
        for _ in range(3):
            yield env.timeout(100)
            log.append((env._now, "process"))
            alarm.set(env._now + 30)

    alarm = Alarm(env, lambda: log.append((env._now, "alarm")))
    env.process(process())
    env.run()
    assert log == [
        (100 + 100 * n + d, who) for n in range(3) for d, who in ((0, "process"), (30, "alarm"))
    ]


COMMAND = st.tuples(
    st.integers(0, 1_000),
    st.one_of(st.none(), st.integers(0, 500)),
)


@given(commands=st.lists(COMMAND, max_size=30))
def test_an_alarm_acts_when_its_last_setting_says(
    commands: list[tuple[int, int | None]],
) -> None:
    # Odd instants for the commands, so that none falls on a due time.
    commands = sorted(((2 * t + 1, d) for t, d in commands), key=lambda command: command[0])
    env = Clock(initial_time=0)
    log: list[int] = []
    alarm = Alarm(env, lambda: log.append(env._now))
    expected: list[int] = []
    due: int | None = None
    for at_ns, delay in commands:
        if due is not None and due < at_ns:
            expected.append(due)
            due = None
        if delay is None:
            due = None
            at(env, at_ns, alarm.cancel)
        else:
            due = at_ns + 2 * delay + 1
            at(env, at_ns, partial(alarm.set, due))
    if due is not None:
        expected.append(due)
    env.run(until=10_000)
    assert log == expected


# ------------------------------------------------------------------- ahead of the clock


def test_quiet_alarms_act_ahead_each_at_its_instant(env: Clock) -> None:
    log: list[tuple[str, int]] = []

    def often() -> None:
        log.append(("often", env._now))
        alarms[0].set(env._now + 30)

    alarms = [
        Alarm(env, often, quiet=True),
        Alarm(env, lambda: log.append(("once", env._now)), quiet=True),
    ]
    alarms[0].set(10)
    alarms[1].set(50)
    assert act_ahead(env, 70)
    assert log == [("often", 10), ("often", 40), ("once", 50)]
    assert env._now == 0
    env.run(until=80)
    assert log[3:] == [("often", 70)]


def test_what_is_due_at_the_end_acts_ahead_if_it_has_been_set_before(
    env: Clock, log: list[int]
) -> None:
    quiet = Alarm(env, lambda: log.append(env._now), quiet=True)
    quiet.set(70)
    assert act_ahead(env, 70)
    assert log == [70]


def test_nothing_acts_ahead_of_an_alarm_that_is_not_quiet(env: Clock, log: list[int]) -> None:
    quiet = Alarm(env, lambda: log.append(env._now), quiet=True)
    other = Alarm(env, lambda: log.append(-env._now))
    quiet.set(30)
    other.set(20)
    assert not act_ahead(env, 100)
    assert log == []
    env.run(until=100)
    assert log == [-20, 30]


def test_a_quiet_alarm_that_was_moved_acts_ahead_once(env: Clock, log: list[int]) -> None:
    quiet = Alarm(env, lambda: log.append(env._now), quiet=True)
    for due_ns in (60, 20, 40):
        quiet.set(due_ns)
    assert act_ahead(env, 100)
    assert log == [40]
    env.run(until=200)
    assert log == [40]


# ------------------------------------------------------------------------------- agenda


@given(
    items=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 300)), max_size=40),
)
def test_an_agenda_calls_in_the_order_of_time_then_of_entry(
    items: list[tuple[int, int]],
) -> None:
    env = Clock(initial_time=0)
    called: list[tuple[int, int]] = []
    agenda = Agenda(env, lambda number: called.append((env._now, number)))
    for number, (entered_ns, delay_ns) in enumerate(items):
        due_ns = entered_ns + delay_ns
        at(env, entered_ns, partial(agenda.at, due_ns, number))
    env.run(until=1_000)
    entered = sorted(range(len(items)), key=lambda number: (items[number][0], number))
    expected = sorted(((sum(items[number]), order, number) for order, number in enumerate(entered)))
    assert [(at_ns, number) for at_ns, number in called] == [(t, n) for t, _, n in expected]
    assert len(agenda) == 0


def test_what_is_called_may_put_more_on_the_agenda(env: Clock) -> None:
    called: list[tuple[int, str]] = []

    def act(name: str) -> None:
        called.append((env._now, name))
        if name == "first":
            agenda.at(env._now, "at once")
            agenda.at(env._now + 5, "soon")

    agenda = Agenda(env, act)
    agenda.at(50, "last")
    agenda.at(10, "first")
    assert len(agenda) == 2
    env.run(until=1_000)
    assert called == [(10, "first"), (10, "at once"), (15, "soon"), (50, "last")]
