"""Requests of a document, watched again."""

from pathlib import Path

import pytest
from made import EPOLL, THREADS, document

from iosim.errors import UsageError
from iosim.report.html import moments
from iosim.report.html.moments import ALONE, TOGETHER, watch


def test_each_model_has_a_request_alone_and_several_together(tmp_path: Path) -> None:
    found = watch(document(tmp_path))
    assert [one.label for one in found] == [EPOLL, THREADS]
    for one in found:
        assert len(one.moments[ALONE].lives) == 1
        assert len(one.moments[TOGETHER].lives) > 1


def test_it_is_simulated_with_the_costs_of_the_document(tmp_path: Path) -> None:
    cheap = document(tmp_path)
    dear = document(tmp_path)
    costs = {**cheap.data["provenance"]["costs"], "context_switch_ns": 90_000}
    dear.data["provenance"] = {**cheap.data["provenance"], "costs": costs}
    (first, *_), (second, *_) = watch(cheap), watch(dear)
    assert second.moments[ALONE].cpu_ns()["switch"] > first.moments[ALONE].cpu_ns()["switch"] + 8e4


def test_of_a_long_run_only_a_part_is_watched(tmp_path: Path) -> None:
    found = document(tmp_path, figures={EPOLL: {"offered": 10.0 * moments.ENOUGH}})
    assert moments._shortened(found).run.duration == 10_000_000
    assert moments._shortened(document(tmp_path)).run.duration == 100_000_000


def test_costs_of_another_version_are_told(tmp_path: Path) -> None:
    found = document(tmp_path)
    found.data["provenance"]["costs"].pop("syscall_ns")
    with pytest.raises(UsageError, match="its costs are those of another version"):
        watch(found)


def test_a_model_that_cannot_be_watched_says_why(tmp_path: Path) -> None:
    found = document(tmp_path)
    found.data["scenario"]["run"] = {**found.data["scenario"]["run"], "duration": "1us"}
    for one in watch(found):
        assert not one.moments
        assert "no request was answered" in one.why_not
