"""Many runs: the same for any number of processes, as many as a precision needs, and their ends."""

import gc
import json
import math
import pickle
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iosim import simulation
from iosim.choice import Chosen
from iosim.errors import ScenarioError, SimulationError, UsageError
from iosim.io_models import epoll
from iosim.profile import load as load_profile
from iosim.results import Results
from iosim.scenario import Scenario, from_data, load
from iosim.simulation import Precision, run_once, simulate
from iosim.statistics import relative_half_width

OPEN = {"open": {"rate": "5k/s", "connections": {"total": 8}}}
CLOSED = {"closed": {"users": 4, "think": "1ms", "connections": {"total": 4}}}
ITEMS = {
    "producer_consumer": {
        "produce": {"exponential": "10us"},
        "consume": {"exponential": "10us"},
        "producers": 2,
        "consumers": 2,
    }
}
MISORDERED = {"threads": {"second_lock": "misordered", "label": "misordered"}}


def scenario(*models: Any, workload: Any = OPEN, seed: int = 1, **changes: Any) -> Scenario:
    run = {"duration": "10ms", "replications": 3, "warm_up": "none", "seed": seed}
    return from_data(
        {
            "name": "small",
            "machine": {"cores": 2, **changes.pop("machine", {})},
            "server": {"handler": [{"cpu": {"exponential": "20us"}}, {"call": "db"}]},
            "devices": {"db": {"remote": {"latency": {"exponential": "50us"}}}},
            "workload": workload,
            "models": [*models],
            "run": {**run, **changes.pop("run", {})},
            **changes,
        }
    )


def text(results: Results) -> str:
    return json.dumps(results.to_document(), allow_nan=False)


def calls(progress: list[tuple[int, int]], stop_after: int | None = None) -> simulation.Progress:
    def called(done: int, total: int) -> None:
        progress.append((done, total))
        if done == stop_after:
            raise KeyboardInterrupt

    return called


class TestDeterminism:
    def test_any_number_of_processes_gives_the_same(self) -> None:
        small = scenario("epoll", "blocking", "coroutine", run={"warm_up": "auto"})
        alone = simulate(small)
        together = simulate(small, jobs=2)
        assert text(together) == text(alone)
        for one, other in zip(alone.models, together.models, strict=True):
            assert [vars(r)["requests"] for r in one.records] == [
                vars(r)["requests"] for r in other.records
            ]
            assert [r.threads for r in one.records] == [r.threads for r in other.records]
            assert [r.responses.to_pairs() for r in one.records] == [
                r.responses.to_pairs() for r in other.records
            ]

    def test_the_same_seed_gives_the_same_and_another_another(self) -> None:
        assert text(simulate(scenario("epoll"))) == text(simulate(scenario("epoll")))
        means = {
            simulate(scenario("epoll", seed=seed))["epoll"].metrics["response_time_mean_ns"].mean
            for seed in range(4)
        }
        assert len(means) == 4

    def test_a_model_does_not_depend_on_its_neighbours(self) -> None:
        alone = simulate(scenario("epoll"))["epoll"]
        for models in (["blocking", "epoll"], ["epoll", "nonblocking", "aio"]):
            assert simulate(scenario(*models))["epoll"].metrics == alone.metrics

    def test_all_models_are_asked_for_the_same(self) -> None:
        results = simulate(scenario("blocking", "epoll", "coroutine", "poll"))
        offered = [[record.offered for record in model.records] for model in results.models]
        assert offered[0][0] > 20
        assert all(each == offered[0] for each in offered)

    def test_replications_differ_and_more_of_them_change_none(self) -> None:
        few = simulate(scenario("epoll"))["epoll"].records
        many = simulate(scenario("epoll", run={"replications": 5}))["epoll"].records
        assert [record.replication for record in many] == [0, 1, 2, 3, 4]
        assert [r.requests for r in many[:3]] == [r.requests for r in few]
        assert len({record.responses.total_ns for record in many}) == 5

    def test_one_run_by_itself_is_one_of_many(self) -> None:
        small = scenario("blocking", "epoll")
        costs = load_profile("reference").costs
        alone = run_once(small, small.models[1], costs, 2)
        assert alone.requests == simulate(small)["epoll"].records[2].requests
        assert alone.responses.total_ns > 0


class TestWindow:
    def test_no_warm_up_is_the_whole_run(self) -> None:
        (record, *_) = simulate(scenario("epoll"))["epoll"].records
        assert (record.duration_ns, record.window_ns, record.warm_up_ns) == (10**7, 10**7, 0)
        assert record.answered == record.completed == record.responses.count

    def test_a_warm_up_is_as_long_as_was_asked_for(self) -> None:
        (record, *_) = simulate(scenario("epoll", run={"warm_up": "1ms"}))["epoll"].records
        assert (record.duration_ns, record.window_ns, record.warm_up_ns) == (
            10**7,
            9 * 10**6,
            10**6,
        )
        (record, *_) = simulate(scenario("epoll", run={"warm_up": "1.1ms"}))["epoll"].records
        assert record.warm_up_ns == 1_100_000
        assert all(sum(core.values()) == record.window_ns for core in record.cores_ns)
        assert record.answered < record.completed
        assert record.answered == record.responses.count
        assert sum(record.parts_ns.values()) == record.responses.total_ns

    def test_a_warm_up_found_is_the_same_in_all_replications_and_at_most_half(self) -> None:
        small = scenario("epoll", run={"warm_up": "auto", "duration": "100ms"})
        records = simulate(small)["epoll"].records
        assert len({record.warm_up_ns for record in records}) == 1
        assert records[0].warm_up_ns <= 50_000_000

    def test_too_few_requests_to_find_one_is_said(self) -> None:
        small = scenario("epoll", run={"warm_up": "auto", "duration": "1ms"})
        (warning,) = simulate(small)["epoll"].warnings
        assert "too few to look for it" in warning


class TestPrecision:
    def test_replications_are_added_until_it_is_reached(self) -> None:
        small = scenario("epoll", "blocking", run={"replications": 2})
        wanted = Precision("mean within 10%", "response_time_mean_ns", 0.10)
        results = simulate(small, precision=wanted)
        for model in results.models:
            estimate = model.metrics["response_time_mean_ns"]
            assert estimate.mean is not None and estimate.high is not None
            assert len(model.records) == estimate.n > 2
            assert (estimate.high - estimate.mean) / estimate.mean <= 0.10 / 1.10
            assert model.verdicts == {"mean within 10%": "pass"}
        # They are the same replications that asking for so many would have given.
        count = len(results["epoll"].records)
        plain = simulate(scenario("epoll", run={"replications": count}))["epoll"]
        assert plain.metrics == results["epoll"].metrics

    def test_a_finer_one_takes_more(self) -> None:
        counts = []
        for half_width in (0.3, 0.09, 0.06):
            wanted = Precision("x", "throughput_per_s", half_width)
            counts.append(len(simulate(scenario("epoll"), precision=wanted)["epoll"].records))
        assert counts[0] < counts[1] < counts[2]

    def test_what_is_reached_already_takes_none(self) -> None:
        wanted = Precision("x", "throughput_per_s", 0.9)
        small = scenario("epoll", run={"replications": 5})
        assert len(simulate(small, precision=wanted)["epoll"].records) == 5

    def test_the_first_test_comes_after_five(self) -> None:
        wanted = Precision("x", "throughput_per_s", 0.9)
        for replications in (1, 2, 4):
            small = scenario("epoll", run={"replications": replications})
            assert len(simulate(small, precision=wanted)["epoll"].records) == 5

    def test_the_error_is_relative_to_the_true_mean(self) -> None:
        """Law 9.4.1: half width / mean has to be at most g / (1 + g), not g."""
        small = scenario("epoll", run={"replications": 8})
        plain = simulate(small)["epoll"].metrics["response_time_mean_ns"]
        width = relative_half_width(plain)
        assert width is not None and 0.01 < width < 0.9
        near = Precision("near", "response_time_mean_ns", width * (1 + width / 2))
        assert near.half_width > width
        assert len(simulate(small, precision=near)["epoll"].records) > 8
        there = Precision("there", "response_time_mean_ns", width / (1 - width) + 1e-9)
        assert len(simulate(small, precision=there)["epoll"].records) == 8

    def test_what_only_the_histogram_cannot_tell_apart_is_not_precise(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(simulation, "MOST_REPLICATIONS", 6)
        # A single user: each response takes as long as the one before.
        alone = {"closed": {"users": 1, "think": "1us", "connections": {"total": 1}}}
        steady = scenario("epoll", workload=alone, server={"handler": [{"cpu": "50us"}]})
        for metric, verdict in (("p50", "inconclusive"), ("mean", "pass")):
            wanted = Precision("x", f"response_time_{metric}_ns", 0.0005)
            assert simulate(steady, precision=wanted)["epoll"].verdicts == {"x": verdict}

    def test_what_more_replications_cannot_define_gets_no_more(self) -> None:
        wanted = Precision("x", "response_time_p99_9_ns", 0.1)
        model = simulate(scenario("epoll"), precision=wanted)["epoll"]
        assert len(model.records) == 3
        assert model.verdicts == {"x": "inconclusive"}
        assert "it needs 10,000 responses in each replication" in model.reasons["x"]

    def test_a_model_that_needs_no_more_gets_no_more(self) -> None:
        small = scenario("epoll", "nonblocking", run={"replications": 5})
        wanted = Precision("x", "wasted_polls_per_request", 0.2)
        results = simulate(small, precision=wanted)
        # epoll never asks in vain: a mean of zero without width is reached.
        assert len(results["epoll"].records) == 5
        assert len(results["nonblocking"].records) > 5

    def test_no_error_in_any_replication_is_nothing_precise(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(simulation, "MOST_REPLICATIONS", 6)
        model = simulate(scenario("epoll"), precision=Precision("x", "error_fraction", 0.1))[
            "epoll"
        ]
        assert (len(model.records), model.metrics["error_fraction"].mean) == (6, 0)
        assert model.verdicts == {"x": "inconclusive"}
        assert "nothing is precise relative to zero" in model.reasons["x"]

    def test_it_ends_all_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(simulation, "MOST_REPLICATIONS", 6)
        wanted = Precision("mean within 0.01%", "response_time_mean_ns", 0.0001)
        model = simulate(scenario("epoll", slo=["errors < 50%"]), precision=wanted)["epoll"]
        assert len(model.records) == 6
        assert model.verdicts == {"errors < 50%": "pass", "mean within 0.01%": "inconclusive"}

    def test_a_metric_without_values_is_inconclusive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(simulation, "MOST_REPLICATIONS", 5)
        wanted = Precision("x", "events_per_wait", 0.1)
        model = simulate(scenario("blocking"), precision=wanted)["blocking"]
        assert model.verdicts == {"x": "inconclusive"}
        assert len(model.records) <= 5


class TestProgress:
    def test_it_counts_runs(self) -> None:
        seen: list[tuple[int, int]] = []
        simulate(scenario("epoll", "poll"), progress=calls(seen))
        assert seen == [(done, 6) for done in range(1, 7)]

    def test_all_models_get_on_together(self) -> None:
        seen: list[tuple[int, int]] = []
        results = simulate(scenario("epoll", "poll"), progress=calls(seen, stop_after=4))
        assert [len(model.records) for model in results.models] == [2, 2]


class TestInterruption:
    def test_what_has_finished_is_returned(self) -> None:
        small = scenario("epoll", "poll", slo=["p99 < 1s"])
        whole = simulate(small)
        cut = simulate(small, progress=calls([], stop_after=3))
        assert cut.interrupted
        assert not whole.interrupted
        assert [len(model.records) for model in cut.models] == [2, 1]
        assert cut["epoll"].records[1].requests == whole["epoll"].records[1].requests
        assert cut["poll"].verdicts == {"p99 < 1s": "inconclusive"}
        assert json.loads(text(cut))["interrupted"] is True

    def test_before_anything_has_finished(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(simulation, "observe", interrupted)
        cut = simulate(scenario("epoll", "poll"))
        assert cut.interrupted
        assert [(model.records, model.error) for model in cut.models] == [((), None)] * 2
        assert text(cut)

    def test_workers_are_not_waited_for(self) -> None:
        # The deadlock comes in a moment; the coroutines' run would take half a minute.
        long = scenario(
            MISORDERED, "coroutines", workload=ITEMS, run={"duration": "60s", "replications": 1}
        )
        started = time.monotonic()
        cut = simulate(long, jobs=2, progress=calls([], stop_after=1))
        assert time.monotonic() - started < 15
        assert cut.interrupted
        assert cut["misordered"].error is not None
        assert (cut["coroutines"].records, cut["coroutines"].error) == ((), None)


class TestErrors:
    def test_a_deadlock_is_its_models_error(self) -> None:
        small = scenario(MISORDERED, "coroutines", workload=ITEMS, run={"duration": "20ms"})
        results = simulate(small)
        error = results["misordered"].error
        assert error is not None
        assert "deadlock" in error
        assert "buffer lock" in error and "statistics lock" in error
        assert results["coroutines"].error is None
        assert len(results["coroutines"].records) == 3
        assert not results.interrupted

    def test_workers_hand_the_same_error_over(self) -> None:
        small = scenario(MISORDERED, workload=ITEMS, run={"duration": "20ms", "replications": 2})
        assert simulate(small, jobs=2)["misordered"].error == simulate(small)["misordered"].error

    def test_a_worker_that_dies_takes_only_its_own_replication_with_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(simulation, "_attempt", fatal)  # found by its name in the worker
        results = simulate(scenario("epoll", "poll"), jobs=2)
        assert results["poll"].error is None
        assert len(results["poll"].records) == 3
        assert [record.replication for record in results["epoll"].records] == [0, 2]
        assert results["epoll"].error == (
            "epoll, replication 1: its worker process was ended by SIGKILL (most likely memory ran"
            " out, and fewer jobs at once need less)"
        )

    def test_a_limit_of_a_syscall_is_its_models_error(self) -> None:
        wide = {"open": {"rate": "1k/s", "connections": {"total": 1100}}}
        small = scenario("select", "poll", workload=wide, run={"duration": "1ms"})
        results = simulate(small)
        assert results["select"].error is not None
        assert "select takes descriptors below 1,024" in results["select"].error
        assert results["select"].records == ()
        assert results["poll"].error is None

    def test_replications_that_finished_are_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        observe = simulation.observe

        def failing(scenario: Scenario, model: Chosen[Any], costs: Any, replication: int) -> Any:
            if replication == 1:
                raise SimulationError("epoll", 12_345, "out of luck")
            return observe(scenario, model, costs, replication)

        monkeypatch.setattr(simulation, "observe", failing)
        model = simulate(scenario("epoll", slo=["p99 < 1s"]))["epoll"]
        assert model.error == "epoll, at 12,345 ns: out of luck"
        assert [record.replication for record in model.records] == [0, 2]
        assert model.verdicts == {"p99 < 1s": "fail"}

    def test_a_failed_model_gets_no_more_replications(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        observe = simulation.observe

        def failing(scenario: Scenario, model: Chosen[Any], costs: Any, replication: int) -> Any:
            if replication == 1:
                raise SimulationError("epoll", 1, "out of luck")
            return observe(scenario, model, costs, replication)

        monkeypatch.setattr(simulation, "observe", failing)
        seen: list[tuple[int, int]] = []
        wanted = Precision("x", "throughput_per_s", 0.001)
        model = simulate(scenario("epoll"), precision=wanted, progress=calls(seen))["epoll"]
        assert len(seen) == 3
        assert model.verdicts == {"x": "inconclusive"}

    def test_runs_may_end_in_any_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(_: Scenario, model: Chosen[Any], costs: Any, replication: int) -> Any:
            raise SimulationError(model.kind, replication, "out of luck")

        run = simulation._Runner.run
        monkeypatch.setattr(simulation, "observe", failing)
        monkeypatch.setattr(
            simulation._Runner, "run", lambda self, tasks: reversed(list(run(self, tasks)))
        )
        assert simulate(scenario("epoll"))["epoll"].error == "epoll, at 0 ns: out of luck"

    def test_a_fault_of_the_program_is_not_swallowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(simulation, "observe", broken)
        with pytest.raises(ZeroDivisionError):
            simulate(scenario("epoll"))

    def test_a_server_that_accepts_nobody_is_stalled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def deaf(kernel: Any, server: Any, options: Any) -> Any:
            yield from kernel.pause()

        monkeypatch.setattr(epoll, "main", deaf)
        results = simulate(scenario("epoll", "blocking"))
        error = results["epoll"].error
        assert error is not None
        assert "stalled, nothing can wake a thread: main waits for" in error
        assert results["blocking"].error is None

    def test_users_who_wait_for_ever_are_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def dumb(kernel: Any, server: Any, options: Any) -> Any:
            for _ in range(server.connections):
                yield from kernel.accept4(server.listener)
            yield from kernel.pause()

        monkeypatch.setattr(epoll, "main", dumb)
        error = simulate(scenario("epoll", workload=CLOSED, run={"duration": "100ms"}))[
            "epoll"
        ].error
        assert error is not None
        assert "stalled, nothing can wake a thread: main waits for" in error

    def test_the_garbage_collector_is_left_as_it_was(self) -> None:
        before = gc.get_threshold()
        gc.set_threshold(701, 11, 13)
        try:
            simulate(scenario(MISORDERED, "coroutines", workload=ITEMS))
            assert gc.get_threshold() == (701, 11, 13)
        finally:
            gc.set_threshold(*before)

    def test_the_garbage_collector_is_left_as_it_was_by_runs_that_overlap(self) -> None:
        before = gc.get_threshold()
        first, second = simulation._rare_collections(), simulation._rare_collections()
        with first:
            second.__enter__()
        assert gc.get_threshold() != before  # the second is still under way
        second.__exit__(None, None, None)
        assert gc.get_threshold() == before


def fatal(scenario: Scenario, costs: Any, task: simulation.Task) -> simulation.Outcome:
    """What a worker does in place of a run: die in one of them."""
    if task == (0, 1):
        signal.raise_signal(signal.SIGKILL)
    return simulation.observe(scenario, scenario.models[task[0]], costs, task[1])


class TestArguments:
    def test_no_processes_at_all_are_refused(self) -> None:
        with pytest.raises(UsageError, match="jobs: expected at least 1"):
            simulate(scenario("epoll"), jobs=0)

    @pytest.mark.parametrize("jobs", ["2", 1.5, True, -1])
    def test_what_is_no_number_of_processes_is_refused(self, jobs: Any) -> None:
        with pytest.raises(UsageError, match="jobs: expected at least 1"):
            simulate(scenario("epoll"), jobs=jobs)

    @pytest.mark.parametrize("half_width", [0.0, 1.0, 5.0, -0.1, math.nan, math.inf, "5%"])
    def test_a_half_width_that_makes_no_sense_is_refused(self, half_width: Any) -> None:
        with pytest.raises(UsageError, match="half width over mean between 0 and 1"):
            Precision("x", "response_time_p99_ns", half_width)

    def test_a_scenario_that_was_never_loaded_is_checked_all_the_same(self) -> None:
        data = scenario("epoll").to_data()
        data["server"]["handler"] = [{"call": "dbb"}]
        with pytest.raises(ScenarioError, match="a device under 'devices' .db., found 'dbb'"):
            simulate(Scenario.model_validate(data))
        data = scenario("epoll").to_data()
        data["models"] = ["threads"]
        with pytest.raises(ScenarioError, match="an I/O model for a workload of requests"):
            simulate(Scenario.model_validate(data))

    def test_a_precision_of_an_unknown_metric_is_refused_with_the_near_match(self) -> None:
        with pytest.raises(UsageError, match="did you mean 'response_time_p99_ns'"):
            Precision("5%@p99", "response_time_p9_ns", 0.05)


class TestProfile:
    def test_it_is_looked_for_where_the_scenario_stands(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "mine.yaml").write_text(
            "name: mine\ndescription: own\nextends: reference\ncosts: {}\n"
        )
        small = scenario("epoll", run={"replications": 1}, machine={"profile": "mine.yaml"})
        path = tmp_path / "small.yaml"
        path.write_text(json.dumps(small.to_data()))
        loaded = load(path)
        assert simulate(loaded).profile == "mine"
        assert simulate(pickle.loads(pickle.dumps(loaded))).profile == "mine"
        assert (loaded, loaded.digest) == (small, small.digest)  # wherever it stands
        # Named by the caller, it is looked for where the caller is.
        changes = {"machine.profile": "mine.yaml"}
        with pytest.raises(UsageError, match="expected a profile"):
            simulate(load(path, changes))
        monkeypatch.chdir(tmp_path)
        assert simulate(load(path, changes)).profile == "mine"

    def test_the_scenarios_own_unless_another_is_given(self) -> None:
        free, reference = load_profile("free"), load_profile("reference")
        assert free.sha256 != reference.sha256
        own = simulate(scenario("epoll", machine={"profile": "free"}))
        assert (own.profile, own.profile_digest) == ("free", free.sha256)
        given = simulate(scenario("epoll"), profile=free)
        assert (given.profile, given.profile_digest) == ("free", free.sha256)
        assert given["epoll"].metrics == own["epoll"].metrics
        default = simulate(scenario("epoll"))
        assert default.profile_digest == reference.sha256
        slow, fast = (r["epoll"].metrics["cpu_utilization"].mean for r in (default, own))
        assert slow is not None and fast is not None
        assert slow > fast

    def test_costs_changed_by_hand_are_used(self) -> None:
        profile = load_profile("reference")
        dear = replace(profile, costs=replace(profile.costs, syscall_ns=50_000))
        results = simulate(scenario("epoll"), profile=dear)
        plain = simulate(scenario("epoll"))
        one, other = (r["epoll"].metrics["cpu_syscall_fraction"].mean for r in (results, plain))
        assert one is not None and other is not None
        assert one > 2 * other
