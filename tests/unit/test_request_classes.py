"""Classes of requests: how they are drawn, what each asks for, and what is told of them."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from iosim import simulate
from iosim.errors import ScenarioError
from iosim.machine.request import Request
from iosim.metrics import describe
from iosim.profile import load as load_profile
from iosim.report.table import tables
from iosim.request_classes import requests
from iosim.scenario import Scenario, from_data, from_source
from iosim.simulation import run_once
from iosim.streams import Streams
from iosim.yaml_source import load as load_text

GET: dict[str, Any] = {"weight": 3, "handler": [{"cpu": {"exponential": "20us"}}], "reply": "5B"}
REPORT: dict[str, Any] = {"handler": [{"cpu": "1ms"}, {"sleep": {"exponential": "1ms"}}]}


def scenario(classes: dict[str, Any], **workload: Any) -> Scenario:
    return from_data(
        {
            "server": {"classes": classes},
            "workload": {"open": {"rate": "1k/s", "connections": {"total": 5}, **workload}},
            "models": ["epoll", "blocking"],
            "run": {"duration": "200ms", "warm_up": "none", "replications": 2},
        }
    )


def drawn(classes: dict[str, Any], count: int = 1_000) -> list[Request]:
    make, asked = requests(scenario(classes), {}, Streams(1, 0), None)
    return [make(number, 0, each, 100, 200) for number, each in enumerate(islice(asked, count))]


def demands(found: list[Request], name: str) -> Iterator[tuple[int, ...]]:
    return (request.amounts for request in found if request.class_name == name)


def test_a_class_has_its_steps_its_sizes_and_its_share() -> None:
    found = drawn({"get": GET, "report": REPORT}, 20_000)
    by_name = {request.class_name: request for request in found}
    assert [len(by_name[name].steps) for name in ("get", "report")] == [1, 2]
    assert [(r.bytes, r.reply_bytes) for r in map(by_name.__getitem__, ("get", "report"))] == [
        (100, 5),
        (100, 200),
    ]
    share = sum(1 for _ in demands(found, "get")) / len(found)
    assert abs(share - 0.75) < 4 * (0.75 * 0.25 / len(found)) ** 0.5


def test_another_class_does_not_change_what_those_before_ask_for() -> None:
    two = drawn({"get": GET, "report": REPORT})
    three = drawn(
        {"get": GET, "more": {"weight": 2, "handler": [{"cpu": "1us"}]}, "report": REPORT}
    )
    for name in ("get", "report"):
        both = list(zip(demands(two, name), demands(three, name), strict=False))
        assert len(both) > 100
        assert all(one == other for one, other in both)


def test_two_classes_with_the_same_handler_ask_for_different_things() -> None:
    found = drawn({"get": GET, "put": GET})
    assert list(demands(found, "get"))[:5] != list(demands(found, "put"))[:5]


def test_all_models_are_asked_for_the_same_classes() -> None:
    mixed = scenario({"get": GET, "report": REPORT})
    costs = load_profile("reference").costs
    one, other = (
        {r.number: r.class_name for r in run_once(mixed, model, costs, 0).requests}
        for model in mixed.models
    )
    common = one.keys() & other.keys()
    assert len(common) > 100
    assert all(one[number] == other[number] for number in common)
    assert {"get", "report"} == set(one.values())


def test_who_asks_again_asks_for_the_same_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports take 1 ms at least, after which nobody waits for them any more."""
    made: list[Request] = []
    init = Request.__init__

    def kept(self: Request, *args: Any) -> None:
        init(self, *args)
        made.append(self)

    monkeypatch.setattr(Request, "__init__", kept)
    impatient = scenario({"get": GET, "report": REPORT}, timeout="1ms", retry={"attempts": 3})
    record = run_once(impatient, impatient.models[1], load_profile("free").costs, 0)
    again = [request for request in made if request.attempt]
    assert record.retries == len(again) > 50
    first = {(r.client.number, r.intended_ns + 1_000_000): r for r in made}
    for request in again:
        before = first[request.client.number, request.intended_ns]
        assert before.class_name == request.class_name
        assert before.reply_bytes == request.reply_bytes


class TestWhatIsTold:
    def test_each_class_has_its_metrics_and_they_add_up(self) -> None:
        results = simulate(scenario({"get": GET, "report": REPORT}))
        for model in results:
            classes = [f"class_{name}_" for name in ("get", "report")]
            completed = [model.metrics[f"{name}completed"].mean for name in classes]
            assert sum(value or 0 for value in completed) == model.metrics["completed"].mean
            means = [model.metrics[f"{name}response_time_mean_ns"] for name in classes]
            assert means[0].mean is not None and means[0].high is not None
            assert means[1].mean is not None and means[1].mean > 1_000_000
            assert model.metrics["class_get_response_time_p50_ns"].mean
            told = model.undefined("class_report_response_time_p99_ns")
            assert told is not None and "it needs 1,000 responses in each replication" in told
        for metric in results.to_document()["models"][0]["metrics"]:
            describe(metric)
        assert "class_get_response_time_p50_ns" in results.summary.loc["epoll"].index
        assert set(results.requests["class_name"]) == {"get", "report"}
        titles = [table.title for table in tables(results)]
        assert any(title.startswith("Requests of class get ") for title in titles)

    def test_without_classes_nothing_is_told_of_them(self) -> None:
        alike = scenario({})
        record = run_once(alike, alike.models[0], load_profile("free").costs, 0)
        assert not record.classes
        assert {request.class_name for request in record.requests} == {""}


TEXT = """
server:
  classes:
    get: {weight: 9, handler: [{cpu: 20us}]}
    report:
      handler:
        - call: database
workload: {open: {rate: 1k/s}}
models: [epoll]
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", "7:11: server.classes.report.handler[0].call: expected a device under 'devices'"),
        ("weight: 9", "weight: 0", "4:11: server.classes.get.weight: expected a number > 0"),
        ("weight: 9", "wieght: 9", "did you mean 'weight'?"),
        ("cpu: 20us", "cpu: 20", "4:33: server.classes.get.handler[0].cpu: expected a duration"),
        ("get: {", '"": {', "expected a name, found ''"),
        (
            "server:\n",
            "server:\n  handler: [{cpu: 1us}]\n",
            "3:3: server.handler: expected no handler beside 'classes', which have their own",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as error:
        from_source(load_text(TEXT.replace(old, new, 1), "f.yaml"))
    assert expected in str(error.value)


def test_what_is_written_down_reads_back() -> None:
    written = scenario({"get": GET, "report": REPORT})
    assert from_data(written.to_data()) == written


def test_a_cycle_of_users_counts_the_mean_over_the_classes() -> None:
    assert scenario({"get": GET, "report": REPORT}).server.mean_cpu_ns == 0.75 * 20e3 + 0.25 * 1e6
