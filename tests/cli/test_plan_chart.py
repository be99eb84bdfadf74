"""The knee: which points are drawn, where, and in how much room."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest

from iosim.report.knee import chart, picture, points
from iosim.scenario import from_data
from iosim.slo import Verdict
from iosim.statistics import Estimate
from iosim.studies.capacity import Capacity
from iosim.studies.planning import ModelPlan, Plan
from iosim.studies.probing import Probe

SCENARIO = from_data(
    {
        "name": "made up",
        "workload": {"open": {"rate": "10k/s"}},
        "models": ["epoll"],
        "slo": ["p99 < 5ms"],
    }
)


def probe(load: float, ms: float | None, verdict: Verdict) -> Probe:
    ns = None if ms is None else ms * 1e6
    bounds = (None, None) if ns is None else (0.9 * ns, 1.1 * ns)
    return Probe(
        label="epoll",
        load=load,
        verdict=verdict,
        verdicts={"p99 < 5ms": verdict},
        metrics={"response_time_p99_ns": Estimate(ns, *bounds, n=5)},
        replications=5,
        runs=5,
        duration_ns=1_000_000,
        uses=(),
    )


PROBES = (
    probe(10_000, 1, "pass"),
    probe(20_000, 4, "pass"),
    probe(24_000, 40, "fail"),
    probe(40_000, 90, "fail"),
)


def plan_of(*models: tuple[Probe, ...]) -> Plan:
    made = tuple(
        ModelPlan(Capacity(f"model {number}", probes[0], probes, 0.01))
        for number, probes in enumerate(models)
    )
    return Plan(SCENARIO, "reference", "", ("p99 < 5ms",), "requests/s", made)


def test_the_knee_is_marked_and_what_lies_far_beyond_left_out() -> None:
    plan = plan_of(PROBES)
    drawn = points(plan, plan.models[0])
    assert [(point.load, point.knee) for point in drawn] == [
        (10_000, False),
        (20_000, True),
        (24_000, False),
    ]


def test_the_text_has_the_knee_where_it_belongs() -> None:
    lines = chart(plan_of(PROBES))
    assert all(len(line) <= 80 for line in lines)
    assert [line.split("|")[0].strip() for line in lines if "|" in line and line[0] != " "] == [
        "40.0ms",
        "5.00ms",
        "1.00ms",
    ]
    (knee,) = [line for line in lines[:13] if "A" in line]
    top = lines[0]
    # 20k of 24k, and the highest load at the right end.
    assert knee.index("A") - knee.index("|") == pytest.approx(20 / 24 * 64, abs=2)
    assert top.index("a") - top.index("|") == 65
    assert lines[-2].endswith("24.0k/s")


def test_two_models_in_one_place_are_both_seen() -> None:
    text = "\n".join(chart(plan_of(PROBES, PROBES))[:13])
    assert text.count("A") + text.count("B") == 2
    assert text.count("a") >= 2 and text.count("b") >= 2


def test_points_without_a_value_are_left_out() -> None:
    silent = (probe(10_000, 1, "pass"), probe(20_000, None, "fail"))
    assert len(points(plan_of(silent), plan_of(silent).models[0])) == 1
    assert chart(plan_of(silent)) == []


def test_the_picture_is_the_same_for_the_same_plan() -> None:
    pytest.importorskip("matplotlib")
    plan = plan_of(PROBES, PROBES)
    first, again = picture(plan, "svg"), picture(plan, "svg")
    assert first == again
    ElementTree.fromstring(first)
    assert picture(replace(plan, objectives=("mean < 5ms",)), "png").startswith(b"\x89PNG")
