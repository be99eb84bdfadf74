"""`iosim run`: what it prints, where it prints it, and with which code it ends."""

import re
from pathlib import Path

import pytest
from commandline import DEADLOCK, PIPELINE, TINY, iosim, run

from iosim.report.table import cell, duration, per_request
from iosim.statistics import Estimate

CONTRACT = {
    "throughput_per_s",
    "response_time_mean_ns",
    "response_time_p50_ns",
    "response_time_p95_ns",
    "response_time_p99_ns",
    "voluntary_switches_per_request",
    "involuntary_switches_per_request",
    "context_switches_per_s",
    "coroutine_switches_per_request",
    "syscalls_per_request",
    "events_per_wait",
    "wasted_polls_per_request",
    "cpu_utilization",
    "cpu_time_per_request_ns",
    "cpu_user_fraction",
    "cpu_syscall_fraction",
    "cpu_switch_fraction",
    "cpu_softirq_fraction",
    "cpu_idle_fraction",
    "memory_bytes",
    "own_work_ns",
    "offered",
    "completed",
    "refused",
    "timed_out",
    "in_flight",
}


def test_the_document_has_what_the_contract_names() -> None:
    outcome = run(TINY, "--json", "--seed", 7)
    document = outcome.document
    assert outcome.code == 0
    assert document["source"] == "simulated"
    assert document["seed"] == 7
    assert document["profile"] == "reference"
    assert [m["label"] for m in document["models"]] == ["blocking", "epoll", "coro"]
    assert [m["model"] for m in document["models"]] == ["blocking", "epoll", "coroutine"]
    for model in document["models"]:
        assert set(model["metrics"]) >= CONTRACT
        for name, metric in model["metrics"].items():
            assert set(metric) == {"mean", "ci95", "n", "unit", "values"}, name
    mean = outcome.metrics("epoll")["response_time_mean_ns"]
    assert mean["ci95"][0] <= mean["mean"] <= mean["ci95"][1]
    assert mean["unit"] == "ns"
    # 15 us of computing, 100 us of the device: a response takes longer, and not by much.
    assert 115_000 < mean["mean"] < 400_000


def test_json_alone_is_on_stdout() -> None:
    outcome = run(DEADLOCK, "--json")
    assert outcome.code == 1
    failed, fine = outcome.document["models"]
    assert "deadlock" in failed["error"]
    assert fine["error"] is None
    assert "deadlock" in outcome.err


def test_the_table_fits_and_shows_the_document() -> None:
    outcome = run(TINY)
    metrics = run(TINY, "--json").metrics("epoll")
    lines = outcome.out.splitlines()
    assert max(map(len, lines)) <= 80
    row = next(i for i, line in enumerate(lines) if line.startswith("epoll "))
    p50 = metrics["response_time_p50_ns"]
    expected = cell(Estimate(p50["mean"], p50["ci95"][0], p50["ci95"][1], 2), duration)
    assert expected.text in lines[row].split()
    assert expected.interval.startswith("±")
    assert expected.interval in lines[row + 1].split()


def test_the_widest_table_fits_too() -> None:
    models = "[thread_pool_callbacks, nonblocking, select, aio]"
    outcome = run(TINY.replace("[blocking, epoll, {coroutine: {label: coro}}]", models))
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "\nthread_pool_" in outcome.out


def test_changed_costs_are_told_with_the_profile(tmp_path: Path) -> None:
    change = ("--set", "profile.context_switch=5us")
    told = run(TINY, "--json", *change).document["profile"]
    assert told == "reference (context_switch=5us)"
    markdown = tmp_path / "results.md"
    for text in (run(TINY, *change, "--export", markdown).out, markdown.read_text()):
        assert f"profile {told}" in " ".join(text.split())


def test_no_interval_beside_what_rounds_to_zero() -> None:
    assert str(cell(Estimate(0.001, -0.002, 0.004, 2), per_request)) == "0.00"
    assert str(cell(Estimate(0.01, 0.005, 0.015, 2), per_request)) == "0.01 ±50%"


def test_a_device_without_a_limit_has_no_utilization() -> None:
    unlimited = TINY.replace(", concurrency: 4", "")
    assert "Device db" in run(unlimited).out
    assert "utilization" not in run(unlimited).out
    assert "utilization" in run(TINY).out
    assert run(unlimited, "--json").metrics("epoll")["device_db_utilization"]["mean"] is None


def test_all_counts_are_in_the_last_table() -> None:
    outcome = run(TINY)
    document = run(TINY, "--json")
    lines = outcome.out.splitlines()
    title = next(i for i, line in enumerate(lines) if line.startswith("What became"))
    row = next(line for line in lines[title:] if line.startswith("blocking ")).split()
    fates = ("offered", "completed", "refused", "timed_out", "in_flight")
    means = [document.metrics("blocking")[fate]["mean"] for fate in fates]
    assert [int(text.replace(",", "")) for text in row[1:6]] == [2 * mean for mean in means]
    assert means[0] == sum(means[1:])


def test_cpu_time_adds_up_to_all() -> None:
    lines = run(TINY).out.splitlines()
    title = next(i for i, line in enumerate(lines) if line.startswith("Where the cores'"))
    row = next(line for line in lines[title:] if line.startswith("coro ")).split()
    assert sum(map(float, row[1:-1])) == pytest.approx(100, abs=0.3)


def test_one_replication_has_no_interval_and_says_so() -> None:
    outcome = run(TINY, "--replications", 1, "--quiet")
    assert "There is no interval" in outcome.out
    assert "±" not in outcome.out
    assert "epoll" in outcome.out


def test_quiet_is_the_main_table_alone() -> None:
    loud, quiet = run(TINY).out, run(TINY, "--quiet").out
    assert quiet.strip() in loud
    assert "Where the cores' time goes" in loud
    assert "Where the cores' time goes" not in quiet


def test_models_are_chosen_by_label_or_kind() -> None:
    def labels(*args: str) -> list[str]:
        return [m["label"] for m in run(TINY, "--json", *args).document["models"]]

    assert labels("--model", "epoll") == ["epoll"]
    assert labels("--model", "coroutine") == ["coro"]
    assert labels("--model", "coro", "--model", "blocking") == ["blocking", "coro"]


def test_a_label_is_no_other_models_kind() -> None:
    text = TINY.replace("{coroutine: {label: coro}}", "{select: {label: blocking}}, poll")
    text = text.replace("[blocking, ", "[{blocking: {label: x}}, ")

    def labels(name: str) -> list[str]:
        return [m["model"] for m in run(text, "--json", "--model", name).document["models"]]

    assert labels("blocking") == ["select"]
    assert labels("x") == ["blocking"]
    assert labels("poll") == ["poll"]


def test_a_model_alone_gives_what_it_gives_among_others() -> None:
    assert run(TINY, "--json").metrics("coro") == run(TINY, "--json", "--model", "coro").metrics(
        "coro"
    )


def test_the_seed_decides_all() -> None:
    def epoll(*args: object) -> object:
        return run(TINY, "--json", "--model", "epoll", *args).metrics("epoll")

    assert epoll("--seed", 3) == epoll("--seed", 3)
    assert epoll("--seed", 3) != epoll("--seed", 4)
    assert epoll("--seed", 3) == epoll("--set", "run.seed=3")


def test_two_jobs_give_what_one_gives(tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.yaml"
    tiny.write_text(TINY)
    one = iosim("run", tiny, "--jobs", 1, "--json", "--model", "epoll")
    two = iosim("run", tiny, "--jobs", 2, "--json", "--model", "epoll")
    assert one.out == two.out


def test_a_cost_is_changed() -> None:
    def switching(*args: object) -> float:
        metrics = run(TINY, "--json", "--model", "blocking", *args).metrics("blocking")
        fraction: float = metrics["cpu_switch_fraction"]["mean"]
        return fraction

    free = switching("--set", "profile.context_switch=0ns")
    dear = switching("--set", "profile.context_switch=20us")
    assert free < switching() < dear
    assert switching("--set", "profile.context_switch=x1") == switching()
    named = run(TINY, "--json", "--set", "profile.context_switch=x0.5").document["profile"]
    assert named == "reference (context_switch=x0.5)"


def test_a_profile_is_named_from_the_scenarios_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ndescription: own\nextends: reference\n"
        "costs: {sendto: {value: 1ms, how: assumed, source: a guess}}\n"
    )
    scenario = tmp_path / "tiny.yaml"
    scenario.write_text(TINY.replace("cores: 2", "cores: 2, profile: mine.yaml"))
    args = ("run", scenario, "--jobs", 1, "--json", "--model", "epoll")
    own = iosim(*args)
    assert own.document["profile"] == "mine"
    # Sending a query and an answer takes a millisecond each.
    assert own.metrics("epoll")["response_time_mean_ns"]["mean"] > 2_000_000
    assert iosim("check", scenario).code == 0
    assert iosim(*args, "--profile", "reference").document["profile"] == "reference"
    absent = iosim(*args, "--profile", "mine.yaml")
    assert absent.code == 2
    assert "mine.yaml" in absent.err


def test_a_pipeline_shows_the_order_of_its_steps() -> None:
    out = run(PIPELINE).out
    assert "item/s" in out
    assert "req/s" not in out
    order = next(line for line in out.splitlines() if "PCPCPCPCPC" in line)
    assert order.startswith("coroutines")
    assert order.endswith("always")
    assert "2 different" in next(
        line for line in out.splitlines() if line.startswith("threads") and "PPP" in line
    )


def test_devices_and_own_work_are_shown_where_there_are_any() -> None:
    plain = run(TINY, "--model", "epoll").out
    assert "Device db" in plain
    assert "own work" not in plain
    working = run(
        TINY, "--model", "epoll", "--set", "server={own_work: {chunk: 10us}}", "--set", "devices={}"
    ).out
    assert "Device db" not in working
    assert "own work" in working


def test_an_empty_cell_and_an_open_objective_say_why() -> None:
    # No answer leaves the device within the run, and no replication has a request to divide by.
    slow = TINY.replace("latency: 100us", "latency: 1s")
    args = ("--set", "slo=[syscalls_per_request < 9]", "--quiet", "--model", "epoll")
    outcome = run(slow, *args)
    text = " ".join(outcome.out.split())
    assert outcome.code == 4
    assert "syscalls/request" in text.partition(" of epoll: undefined: nothing was answered.")[0]
    assert "syscalls_per_request < 9 inconclusive: epoll" in text
    assert "epoll: undefined: nothing was answered" in text


def test_a_server_that_lets_most_requests_time_out_meets_no_p99() -> None:
    # Two of ten requests find the device answering within 1 ms, and these are fast.
    timeouts = TINY.replace(
        "latency: 100us", "latency: {bimodal: {low: 100us, high: 50ms, high_fraction: 80%}}"
    ).replace("connections: {total: 8}", "timeout: 1ms, connections: {total: 2000}")
    timeouts = timeouts.replace("concurrency: 4", "concurrency: 2000")
    args = ("--model", "epoll", "--set", "slo=[p99 < 20ms]", "--set", "run.duration=300ms")
    outcome = run(timeouts, *args, "--quiet")
    assert outcome.code == 3
    text = " ".join(outcome.out.split())
    assert "p99 < 20ms fail: epoll" in text
    assert "epoll: too many got no answer, or a later one" in text
    assert re.search(r"no answer: epoll 8\d\.\d% of the requests were refused or timed out", text)
    fine = run(TINY, "--quiet").out
    assert "no answer" not in fine


def test_threads_that_share_an_interpreter_lock_are_told_of() -> None:
    busy = TINY.replace("cores: 2", "cores: 2, runtime: cpython").replace("10us", "100us")
    outcome = run(busy, "--quiet")
    text = " ".join(outcome.out.split())
    note = "Several threads compute and share CPython's interpreter lock: blocking (held"
    assert note in text
    assert "Known deviations" in text
    told = text.partition(note)[2].partition("How far")[0]
    assert "epoll" not in told and "coro" not in told
    assert "interpreter lock" not in run(TINY, "--quiet").out
    metrics = run(busy, "--json").metrics("blocking")
    assert 0.5 < metrics["interpreter_lock_utilization"]["mean"] <= 1
    assert metrics["interpreter_lock_waits_per_request"]["mean"] > 0
    assert metrics["interpreter_lock_wait_ns"]["mean"] > 0


def test_a_percentile_of_too_few_responses_says_how_long_a_run_would_give_it() -> None:
    outcome = run(TINY, "--set", "slo=[p99 < 1s]", "--quiet", "--model", "epoll")
    text = " ".join(outcome.out.split())
    assert outcome.code == 4
    row = next(line for line in outcome.out.splitlines() if line.startswith("epoll ")).split()
    assert row[2] != "-" and row[3] == "-"
    assert text.count("it needs 1,000 responses in each replication (a run of 1") == 2
    assert "p99 of epoll: undefined: " in text
    longer = run(TINY, "--model", "epoll", "--set", "slo=[p99 < 1s]", "--set", "run.duration=150ms")
    assert longer.code == 0


# ----------------------------------------------------------------------------- exit codes


def test_code_0_for_an_objective_that_holds() -> None:
    outcome = run(TINY, "--model", "epoll", "--set", "slo=[p50 < 1s]")
    assert outcome.code == 0
    assert "p50 < 1s  pass: epoll" in outcome.out


def test_code_1_for_a_deadlock_that_names_its_cycle() -> None:
    outcome = run(DEADLOCK)
    assert outcome.code == 1
    text = " ".join(outcome.out.split())
    assert "No result: misordered" in text
    assert "holds buffer lock, waits for statistics lock (held by consumer" in text
    assert "Traceback" not in outcome.err
    # The other model has its row all the same.
    assert any(line.startswith("coroutines  ") for line in outcome.out.splitlines())


def test_code_3_for_an_objective_that_fails() -> None:
    outcome = run(TINY, "--set", "slo=[p50 < 1us, p50 < 1s]")
    assert outcome.code == 3
    assert "p50 < 1us  fail: blocking, epoll, coro" in outcome.out
    assert "p50 < 1s  pass: blocking, epoll, coro" in outcome.out


def test_code_4_for_an_objective_left_open() -> None:
    mean_ns = run(TINY, "--json").metrics("epoll")["response_time_mean_ns"]["mean"]
    outcome = run(TINY, "--model", "epoll", "--set", f"slo=[mean < {round(mean_ns)}ns]")
    assert outcome.code == 4
    assert "inconclusive: epoll" in outcome.out


def test_precision_adds_replications() -> None:
    args = ("--model", "epoll", "--json", "--precision", "10%@mean")
    outcome = run(TINY, *args)
    (model,) = outcome.document["models"]
    estimate = model["metrics"]["response_time_mean_ns"]
    assert model["replications"] > 2
    assert outcome.code == 0
    low, high = estimate["ci95"]
    assert (high - low) / 2 <= 0.1 * estimate["mean"]
    assert model["slo"] == {"mean within 10%": "pass"}


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--set", "workload.open.rate"), "expected path=value"),
        (("--set", "workload.open.rate=1000"), "expected a rate with its unit"),
        (("--set", "workload.open.rat=1k/s"), "did you mean 'rate'?"),
        (("--set", "models.epol.max_events=1"), "did you mean 'epoll'?"),
        (("--set", "profile.context_swich=1us"), "did you mean 'context_switch'?"),
        (("--set", "profile.context_switch=fast"), "profile.context_switch: expected"),
        (("--model", "epol"), "did you mean 'epoll'?"),
        (("--profile", "referense"), "did you mean 'reference'?"),
        (("--precision", "5%"), "such as 5%@p99"),
        (("--precision", "0%@p99"), "between 0% and 100%"),
        (("--precision", "5%@p98"), "did you mean 'p99'?"),
        (("--replications", "0"), "--replications"),
        (("--jobs", "0"), "--jobs"),
        (("--seed", "-1"), "--seed"),
        (("--sed", "1"), "No such option"),
    ],
)
def test_code_2_for_bad_usage(args: tuple[str, ...], message: str) -> None:
    outcome = run(TINY, *args)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.out == ""


def test_what_set_has_changed_is_told_with_its_mistake() -> None:
    err = run(TINY, "--set", "workload.open.rate=0/s").err
    assert "--set workload.open.rate=0/s" in err
    assert "<stdin>:7:" in err


def test_warnings_are_no_longer_than_a_line() -> None:
    outcome = run(TINY, "--set", "run.duration=1ms", "--model", "epoll", "--json")
    assert "are too few to look for it" in " ".join(outcome.err.split())
    assert max(map(len, outcome.err.splitlines())) <= 80


def test_a_log_shows_that_a_long_run_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iosim.cli.output.RARELY_S", 0)
    assert "2 of 2 runs done" in run(TINY, "--model", "epoll").err
    assert "runs done" not in run(TINY, "--model", "epoll", "--quiet").err
    monkeypatch.setattr("iosim.cli.output.RARELY_S", 1000)
    assert "runs done" not in run(TINY, "--model", "epoll").err


def test_code_2_for_a_file_that_is_not_there(tmp_path: Path) -> None:
    outcome = iosim("run", tmp_path / "none.yaml")
    assert outcome.code == 2
    assert "No such file" in outcome.err


def test_force_lifts_limits() -> None:
    args = ("--set", "machine.cores=257", "--model", "epoll", "--quiet")
    refused = run(TINY, *args)
    assert refused.code == 2
    assert "--force" in refused.err
    assert run(TINY, *args, "--force").code == 0
