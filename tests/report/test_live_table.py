"""What is shown while runs go on."""

from dataclasses import replace

from iosim.report.layout import lay_out
from iosim.report.live import so_far
from iosim.results import Results
from iosim.scenario import from_data
from iosim.simulation import simulate

SCENARIO = from_data(
    {
        "workload": {"open": {"rate": "20k/s", "connections": {"total": 10}}},
        "models": ["epoll", "blocking"],
        "run": {"duration": "60ms", "warm_up": "none", "replications": 3},
    }
)


def told() -> list[tuple[int, int, Results]]:
    seen: list[tuple[int, int, Results]] = []
    simulate(SCENARIO, watch=lambda done, total, known: seen.append((done, total, known())))
    return seen


def test_results_so_far_are_told_after_each_run() -> None:
    seen = told()
    assert [(done, total) for done, total, _ in seen] == [(done, 6) for done in range(1, 7)]
    runs = [[len(model.records) for model in results] for _, _, results in seen]
    assert runs == [[1, 0], [1, 1], [2, 1], [2, 2], [3, 2], [3, 3]]
    last = simulate(SCENARIO)
    assert [model.metrics for model in seen[-1][2]] == [model.metrics for model in last]


def test_intervals_come_with_the_second_run_and_a_row_stands_for_what_has_none() -> None:
    seen = told()
    first, third = (so_far(results, total) for _, total, results in (seen[0], seen[2]))
    assert first.title == "simulated 60.0 ms of 360 ms"
    epoll, blocking = first.rows
    assert [cell.text for cell in blocking] == ["blocking", "0", "-", "-", "-", "-"]
    assert epoll[1].text == "1" and epoll[3].text.endswith("us") and not epoll[3].interval
    assert third.title == "simulated 180 ms of 360 ms"
    assert third.rows[0][3].interval.startswith("±")
    assert all(len(line) <= 80 for line in lay_out(third))


def test_a_model_that_failed_is_said_to() -> None:
    _, total, results = told()[-1]
    failed = replace(results.models[0], error="deadlock")
    table = so_far(replace(results, models=(failed,)), total)
    assert [cell.text for cell in table.rows[0]] == ["epoll", "error", "-", "-", "-", "-"]
