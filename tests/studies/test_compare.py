"""Comparing two results: who is paired with whom, what is said, and in which format."""

import json

import pytest
from handmade_results import document, model

from iosim.errors import UsageError
from iosim.report.comparison import answer
from iosim.report.study import to_csv, to_json, to_markdown, to_text
from iosim.studies.comparing import compare

SLOW = model("epoll", {"response_time_p99_ns": [5e6, 6e6, 7e6], "throughput_per_s": [90, 80, 70]})
FAST = model("epoll", {"response_time_p99_ns": [4e6, 5e6, 6e6], "throughput_per_s": [90, 80, 70]})


def test_of_one_seed_replications_are_paired() -> None:
    found = compare(document(SLOW), document(FAST))
    (pair,) = found.pairs
    assert pair.paired
    p99 = pair.differences["response_time_p99_ns"]
    assert (p99.difference.mean, p99.verdict) == (-1e6, "better")
    assert pair.differences["throughput_per_s"].verdict == "no difference shown"


@pytest.mark.parametrize(
    "other",
    [
        document(FAST, seed=2),
        document(FAST, source="measured"),
        document(FAST, interrupted=True),
        document(model("epoll", {**FAST.values}, error="deadlock")),
        document(model("epoll", {"response_time_p99_ns": [4e6, 5e6, 6e6, 7e6]})),
    ],
    ids=["seed", "source", "interrupted", "error", "replications"],
)
def test_otherwise_they_are_not(other: object) -> None:
    (pair,) = compare(document(SLOW), other).pairs  # type: ignore[arg-type]
    assert not pair.paired
    assert pair.differences["response_time_p99_ns"].verdict == "no difference shown"


def test_models_are_compared_by_their_labels_and_those_alone_are_told() -> None:
    first = document(SLOW, model("old", SLOW.values), name="first")
    second = document(model("new", FAST.values), FAST, name="second")
    found = compare(first, second)
    assert [(pair.a, pair.b) for pair in found.pairs] == [("epoll", "epoll")]
    assert found.notes == ("Only in first: old.", "Only in second: new.")
    with pytest.raises(UsageError, match="expected a model that both have, found epoll, old in fi"):
        compare(first, document(model("new", {}), model("newer", {})))


def test_what_else_differs_is_told() -> None:
    cores = [document(SLOW, scenario={"machine": {"cores": n}}, costs={"x": n}) for n in (1, 2)]
    assert compare(*cores).notes == (
        "Different in the scenarios: machine.cores (1 and 2).",
        "Different costs: x.",
    )


def test_a_sentence_says_who_wins_in_what() -> None:
    told = answer(compare(document(SLOW), document(FAST))).sentences
    assert told[0].startswith("epoll in B against A: better in p99 (-16.7%")
    assert told[0].endswith("no difference shown in requests/s.")
    same = answer(compare(document(SLOW), document(SLOW))).sentences
    assert same[0] == "epoll in B against A: no difference shown."


def test_text_fits_80_columns_and_markdown_has_its_tables() -> None:
    found = answer(compare(document(SLOW), document(FAST)))
    assert max(map(len, to_text(found).splitlines())) <= 80
    assert "| p99 | 6.00ms | 5.00ms | -1.00ms" in to_markdown(found)
    assert len(to_csv(found).splitlines()) == 1 + 2


def test_json_is_the_answer_in_full() -> None:
    data = json.loads(to_json(answer(compare(document(SLOW), document(FAST)))))
    found = data["pairs"][0]["metrics"]["response_time_p99_ns"]
    assert found["difference"]["mean"] == -1e6
    assert found["better"] == "less"
    assert found["verdict"] == "better"


def test_no_verdict_is_drawn_from_some_of_the_replications_and_it_is_said_why() -> None:
    partly = model("epoll", {**FAST.values, "response_time_p99_ns": [4e6, 4.1e6, None]})
    found = answer(compare(document(SLOW), document(partly)))
    assert found.sentences[0].endswith("no verdict in p99.")
    assert "p99: no verdict, as it is known in 2 of 3 replications" in to_text(found)
    assert "better" not in to_text(found)
