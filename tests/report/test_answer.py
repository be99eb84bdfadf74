"""Question and answer: what they say, and what they do not."""

from pathlib import Path

import pytest
from made import EPOLL, THREADS, document, measured

from iosim.report.html.answer import answers, carries, held_back, knee, question
from iosim.report.html.study import Study


def test_the_question_is_of_one_load_or_of_how_much(tmp_path: Path) -> None:
    one = document(tmp_path)
    assert question(Study.of([one])) == (
        "Which of 2 I/O models should carry 5.00k/s on 2 cores under p50 < 1ms?"
    )
    several = Study.of([one, document(tmp_path, "10k/s")])
    assert question(several) == "How much load do 2 I/O models carry on 2 cores under p50 < 1ms?"


def test_one_load_is_answered_by_who_does_well_with_least(tmp_path: Path) -> None:
    costs = {EPOLL: {"cpu_time_per_request_ns": 1e4}, THREADS: {"cpu_time_per_request_ns": 3e4}}
    passing = {EPOLL: "pass", THREADS: "pass"}
    lead, *_ = answers(Study.of([document(tmp_path, figures=costs, verdicts=passing)]))
    assert lead.startswith("Both keep up and meet every objective. Least CPU time per request: ")
    assert "epoll, 10.0 us; most: threads" in lead
    assert lead.endswith("3 times as much.")


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        ("fail", "epoll does; threads <script>alert('x')</script> & \"co\" does not."),
        ("inconclusive", "epoll does; of threads <script>alert('x')</script> & \"co\" the runs"),
    ],
)
def test_who_fails_is_not_who_is_undecided(tmp_path: Path, verdict: str, says: str) -> None:
    found = document(tmp_path, verdicts={EPOLL: "pass", THREADS: verdict})
    lead, why, *_ = answers(Study.of([found]))
    assert lead.startswith(says)
    assert why.startswith(f"{THREADS}: ")
    assert "p50 < 1ms" in why


def test_several_loads_are_answered_by_how_far_each_goes(tmp_path: Path) -> None:
    full = {"cpu_utilization_busiest_thread": 0.99}
    study = Study.of([
        document(tmp_path, "5k/s", verdicts={EPOLL: "pass", THREADS: "pass"}),
        document(tmp_path, "10k/s", verdicts={EPOLL: "pass", THREADS: "pass"}),
        document(tmp_path, "20k/s", {EPOLL: full}, verdicts={EPOLL: "fail", THREADS: "pass"}),
    ])  # fmt: skip
    lead, why, *_ = answers(study)
    assert lead == (
        f"{THREADS} carries 20.0k/s, the highest load given; epoll carries 10.0k/s, but not "
        "20.0k/s."
    )
    assert why == (
        "epoll at 20.0k/s: fails p50 < 1ms: its busiest thread had 99.0% of one core, and can have "
        "no more."
    )
    assert [carries(one) for one in study.candidates] == [(10_000, 20_000), (20_000, None)]


def test_measured_runs_are_told_apart(tmp_path: Path) -> None:
    told = answers(Study.of([document(tmp_path), measured(tmp_path)]))
    assert told[0].startswith("Simulated: ")
    assert any(sentence.startswith("Measured: ") for sentence in told)


def test_an_error_is_the_answer(tmp_path: Path) -> None:
    models = document(tmp_path).data["models"]
    models[0]["error"] = "epoll, at 5 ns: every thread waits."
    told = answers(Study.of([document(tmp_path, models=models)]))
    assert "epoll: at 5 ns: every thread waits." in told


@pytest.mark.parametrize(
    ("figures", "says"),
    [
        ({"cpu_utilization": 0.98, "cpu_switch_fraction": 0.2, "cpu_refill_fraction": 0.11},
         "all 2 cores were busy 98.0% of the time, 31.0% of it with context switches"),
        ({"cpu_utilization": 1.0, "cpu_spin_fraction": 0.9}, "of a mean response of"),
        ({"interpreter_lock_utilization": 0.97}, "the interpreter lock was held 97.0%"),
        ({"device_db_utilization": 1.0}, "the places of device db were in use 100%"),
        ({"time_queue_ns": 9e6, "response_time_mean_ns": 1e7},
         "9.00 ms of a mean response of 10.0 ms went into waiting for a thread"),
    ],
)  # fmt: skip
def test_what_holds_a_model_back(tmp_path: Path, figures: dict[str, float], says: str) -> None:
    found = document(tmp_path, figures={EPOLL: figures})
    assert says in held_back(found, found[EPOLL])


def test_the_knee_of_one_server_with_random_service_is_at_half_its_rate(tmp_path: Path) -> None:
    # M/M/1: throughput by response time is rate (service rate - rate), greatest at half.
    service_per_s = 10_000.0
    documents = [
        document(
            tmp_path,
            f"{rate}k/s",
            {
                EPOLL: {
                    "throughput_per_s": rate * 1_000.0,
                    "response_time_mean_ns": 1e9 / (service_per_s - rate * 1_000),
                }
            },
        )
        for rate in (1, 3, 5, 7, 9)
    ]
    assert knee(Study.of(documents).candidates[0]) == 5_000
    assert knee(Study.of(documents[:3]).candidates[0]) is None  # it may lie beyond
    assert knee(Study.of(documents[:2]).candidates[0]) is None
