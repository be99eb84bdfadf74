"""Sentences of finding: what is certain is said, what is not is not."""

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
