"""What holds in every run of every I/O model, whatever things cost."""

from collections import Counter

from grounds import ITEMS, Case, every_case, traced

from iosim.machine.request import PARTS
from iosim.machine.thread import CAUSES


@every_case
def test_each_request_has_one_fate(case: Case) -> None:
    run = traced(case)
    record = run.record
    fates = (record.completed, record.refused, record.timed_out, record.in_flight)
    assert record.offered == sum(fates)
    assert min(fates) >= 0
    assert record.offered > 0
    assert record.completed > 0
    if case.situation in ITEMS:
        return
    # As the server has seen it: each request once in, at most once out, none unasked.
    arrived = Counter(number for number, _ in run.seen.deliveries)
    replied = Counter(number for number, _ in run.replies)
    assert set(arrived.values()) == {1}
    assert set(replied.values()) == {1}
    assert replied.keys() <= arrived.keys()
    assert len(run.answered) == record.completed
    assert {request.number for request in run.answered} <= replied.keys()
    assert max(arrived) < record.offered


@every_case
def test_all_time_of_each_core_is_accounted_for(case: Case) -> None:
    record = traced(case).record
    for core in record.cores_ns:
        assert tuple(core) == CAUSES
        assert sum(core.values()) == record.window_ns
        assert min(core.values()) >= 0
    # Threads have not run longer than the cores have been busy.
    busy_ns = sum(record.window_ns - core["idle"] - core["stolen"] for core in record.cores_ns)
    assert sum(thread.cpu_ns for thread in record.threads) <= busy_ns + len(record.threads)


@every_case
def test_the_interpreter_lock_is_held_no_longer_than_there_is_time(case: Case) -> None:
    record = traced(case).record
    lock = record.interpreter_lock
    assert (lock is not None) == (case.scenario.machine.runtime == "cpython")
    if lock is not None:
        assert (lock.locks > 1) == (case.model == "prefork")  # which forks
        assert 1 <= lock.held_ns <= record.window_ns * lock.locks
        assert lock.waits >= 0
        assert lock.wait_ns >= 0


@every_case
def test_the_parts_of_response_times_add_up(case: Case) -> None:
    run = traced(case)
    record = run.record
    assert sum(record.parts_ns.values()) == record.responses.total_ns
    for request in record.requests:
        parts = [getattr(request, f"{part}_ns") for part in PARTS]
        assert sum(parts) == request.response_ns
        assert min(parts) >= 0


@every_case
def test_counters_agree_with_what_a_trace_has_seen(case: Case) -> None:
    run = traced(case)
    record = run.record
    # The trace has seen the connecting, too.
    assert record.voluntary_switches <= run.seen.voluntary
    assert record.involuntary_switches <= run.seen.involuntary
    assert record.wakeups <= run.seen.woken
    assert sum(t.voluntary_switches for t in record.threads) <= record.voluntary_switches
    assert run.seen.backwards == 0  # the clock never goes back


@every_case
def test_nobody_is_answered_after_having_given_up(case: Case) -> None:
    record = traced(case).record
    timeout_ns = getattr(case.scenario.workload.options, "timeout", None)
    if timeout_ns is not None:
        assert record.responses.max_ns is not None
        assert record.responses.max_ns <= timeout_ns


@every_case
def test_memory_and_waits_are_plausible(case: Case) -> None:
    record = traced(case).record
    assert all(size >= 0 for size in record.memory_bytes.values())
    assert record.wait_events <= record.offered * 10 + 100
    assert 0 <= record.own_work_ns <= record.window_ns * len(record.cores_ns)
    for device in record.devices.values():
        assert device.busy_ns >= 0
        if device.concurrency is not None:
            assert device.busy_ns <= device.concurrency * record.window_ns
        assert device.queued_ns >= 0
