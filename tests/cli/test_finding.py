"""Sentences of finding: what is certain is said, what is not is not."""

import re
from dataclasses import replace
from functools import cache
from typing import Any

from commandline import TINY

from iosim.profile import load as load_profile
from iosim.record import Record
from iosim.report.finding import findings
from iosim.results import ModelResult, Results, model_result
from iosim.scenario import Scenario, from_source
from iosim.simulation import run_once
from iosim.yaml_source import load


@cache
def base() -> tuple[Scenario, Record]:
    """A scenario and some record of it."""
    scenario = from_source(load(TINY, "tiny"))
    return scenario, run_once(scenario, scenario.models[0], load_profile("free").costs, 0)


def model(label: str, switches: list[float], **fates: Any) -> ModelResult:
    """A model with so many voluntary switches per request in its replications."""
    scenario, record = base()
    records = [
        replace(
            record,
            replication=number,
            voluntary_switches=round(each * record.answered),
            involuntary_switches=0,
            **fates,
        )
        for number, each in enumerate(switches)
    ]
    return model_result(scenario, label, label, records)


def said(*models: ModelResult) -> str:
    scenario, _ = base()
    sentences = findings(Results(scenario, "free", "", models))
    return next((s for s in sentences if "switches" in s), "")


def test_least_and_most() -> None:
    text = said(model("a", [4, 4.1, 4.2]), model("b", [1, 1.1, 1.2]), model("c", [2, 2.1, 2.2]))
    assert text == (
        "Fewest context switches per request: b, 1.10; most: a, 4.10, 3.7 times as much."
    )


def test_what_cannot_be_told_apart_is_not() -> None:
    text = said(model("a", [1, 1.2, 1.1]), model("b", [1.1, 1.1, 1.2]), model("c", [4, 4.1, 4.2]))
    assert text.startswith(
        "Fewest context switches per request: a and b, which cannot be told apart (1.10 to 1.13); "
        "most: c"
    )


def test_who_may_be_the_best_is_not_called_the_worst() -> None:
    # c's mean is the greatest, but c varies too much; b is certainly worse than a.
    text = said(model("a", [1, 1.1, 1.2]), model("b", [2, 2.1, 2.2]), model("c", [1, 1.2, 9]))
    assert text == (
        "Fewest context switches per request: a and c, which cannot be told apart (1.10 to 3.73)."
    )


def test_pairs_tell_apart_what_intervals_do_not() -> None:
    # Each replication has its own level; in each, b needs a tenth more.
    a, b = [1.0, 2.0, 3.0], [1.1, 2.1, 3.1]
    assert said(model("a", a), model("b", b)).startswith("Fewest context switches per request: a,")


def test_no_difference_at_all() -> None:
    text = said(model("a", [1, 2, 3]), model("b", [3, 2, 1.5]))
    assert text.startswith("By context switches per request no model can be told from the best")


def test_one_replication_proves_nothing() -> None:
    text = said(model("a", [1]), model("b", [4]))
    assert text.startswith("In this one replication a had the fewest")
    assert "chance" in text


def test_who_does_not_keep_up() -> None:
    scenario, record = base()
    part = record.offered // 4
    slow = model("slow", [1, 1, 1], completed=record.offered - part, in_flight=part)
    full = model("full", [1, 1, 1], completed=record.offered - part, refused=part, in_flight=0)
    sentences = findings(Results(scenario, "free", "", (slow, model("fine", [1, 1, 1]), full)))
    assert sentences[0].startswith("Did not keep up with the load")
    assert "slow (7" in sentences[0]
    assert "full (7" in sentences[0]
    assert "fine" not in sentences[0]


def test_a_single_model_is_compared_with_nobody() -> None:
    assert said(model("a", [1, 2, 3])) == ""


def test_a_failed_model_is_left_out() -> None:
    failed = replace(model("broken", [0.1, 0.1, 0.1]), error="deadlock")
    assert "broken" not in said(model("a", [1, 1, 1]), model("b", [2, 2, 2]), failed)


def test_no_factor_where_it_rounds_to_one() -> None:
    text = said(model("a", [1, 1.001, 1.002]), model("b", [1.01, 1.011, 1.012]))
    assert text.endswith("most: b, 1.01.")


# ------------------------------------------------------- who carries the load, who answers soonest


def judged(label: str, *verdicts: str) -> ModelResult:
    lines = ("p99 < 5ms", "errors < 1%")
    found = model(label, [1, 1, 1])
    return replace(found, verdicts=dict(zip(lines, verdicts, strict=True)))


def first(*models: ModelResult) -> str:
    scenario = from_source(load(f"{TINY}slo: [p99 < 5ms, errors < 1%]\n", "tiny"))
    return findings(Results(scenario, "free", "", models))[0]


def test_who_carries_the_load_comes_first() -> None:
    good, bad = ("pass", "pass"), ("pass", "fail")
    unknown = ("inconclusive", "pass")
    under = re.escape("under p99 < 5ms and errors < 1%")
    load_ = rf"\S+k requests/s {under}"
    assert re.fullmatch(
        rf"a carries {load_}; b does not\.", first(judged("a", *good), judged("b", *bad))
    )
    both = first(judged("a", *good), judged("b", *good))
    assert re.fullmatch(rf"a and b carry {load_}\.", both)
    none = first(judged("a", *bad), judged("b", *bad), judged("c", *bad))
    assert re.fullmatch(rf"Not one model carries {load_}\.", none)
    two = first(judged("a", *bad), judged("b", *unknown))
    assert re.fullmatch(rf"a cannot carry {load_}; of b it cannot be told yet\.", two)
    neither = first(judged("a", *unknown), judged("b", *unknown))
    assert re.fullmatch(rf"Who carries {load_} cannot be told yet\.", neither)


def with_p99(label: str, p99_us: list[float | None]) -> ModelResult:
    found = model(label, [1.0] * len(p99_us))
    values = tuple(None if value is None else 1e3 * value for value in p99_us)
    return replace(found, values={**found.values, "response_time_p99_ns": values})


def soonest(*models: ModelResult) -> str:
    scenario, _ = base()
    sentences = findings(Results(scenario, "free", "", models))
    return next((s for s in sentences if "response time" in s), "")


def test_who_answers_soonest_is_told_by_the_highest_percentile_that_all_have() -> None:
    # Of one record, all replications are alike.
    assert soonest(model("a", [1, 1]), model("b", [1, 1])).startswith("By p")
    text = soonest(with_p99("a", [None, 3.0]), model("b", [1, 1]))
    assert text.startswith(("By p90", "By p50"))


def test_who_does_not_keep_up_is_not_called_quick() -> None:
    _, record = base()
    part = record.offered // 4
    slow = model("slow", [1, 1, 1], completed=record.offered - part, in_flight=part)
    assert soonest(slow, model("fine", [1, 1, 1])).startswith("Did not keep up")
