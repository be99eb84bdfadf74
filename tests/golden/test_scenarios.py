"""Each shipped scenario gives what it gave when it was recorded (how: see record.py)."""

from pathlib import Path

import pytest
import record

AGAIN = "if this was meant: python tests/golden/record.py"


def test_numpy_draws_the_numbers_it_drew() -> None:
    found = list(record.differences(record.recorded("streams"), record.streams()))
    assert not found, f"numpy's distributions have changed, {AGAIN}\n" + "\n".join(found)


@pytest.mark.parametrize("name", record.names())
def test_a_scenario_gives_what_it_gave(name: str) -> None:
    found = list(record.differences(record.recorded(name), record.outcome(name)))
    told = "\n".join(found[:40])
    assert not found, f"{len(found)} values have moved; {AGAIN} {name}\n{told}"


def test_nothing_is_recorded_that_is_not_shipped() -> None:
    kept = {path.stem for path in Path(record.HERE).glob("*.json")}
    assert kept == {*record.names(), "streams"}


@pytest.mark.parametrize("name", record.names())
def test_what_was_recorded_is_worth_comparing(name: str) -> None:
    models = record.recorded(name)["models"]
    assert len(models) > 1
    for label, model in models.items():
        if name == "deadlock" and label == "threads":
            assert "deadlock: " in model["error"]
            continue
        assert model["error"] is None
        metrics = model["metrics"]
        ended = metrics["completed"] + metrics["refused"] + metrics["timed_out"]
        assert metrics["offered"] == pytest.approx(ended + metrics["in_flight"])
        assert metrics["completed"] >= 50
        not_busy = metrics["cpu_idle_fraction"] + metrics["cpu_stolen_fraction"]
        assert metrics["cpu_utilization"] + not_busy == pytest.approx(1)
        parts = sum(value for key, value in metrics.items() if key.startswith("time_"))
        assert parts == pytest.approx(metrics["response_time_mean_ns"])


BEFORE = {"models": {"epoll": {"error": None, "orders": ["PC"], "metrics": {"a": 2.0, "b": 0}}}}


class TestDifferences:
    @staticmethod
    def told(now: object) -> list[str]:
        epoll = {"models": {"epoll": now}}
        return list(record.differences(BEFORE, epoll))

    def test_the_same_has_none(self) -> None:
        same = {"error": None, "orders": ["PC"], "metrics": {"a": 2.0 + 1e-9, "b": 0}}
        assert self.told(same) == []

    def test_each_is_told_with_its_place(self) -> None:
        now = {"error": "stalled", "orders": ["PP"], "metrics": {"a": 2.1, "c": 1}}
        assert self.told(now) == [
            "models / epoll / error: was None, is stalled",
            "models / epoll / orders: was ['PC'], is ['PP']",
            "models / epoll / metrics / a: was 2, is 2.1 (+5%)",
            "models / epoll / metrics / b: is gone",
            "models / epoll / metrics / c: is new",
        ]

    def test_something_for_nothing(self) -> None:
        now = {"error": None, "orders": ["PC"], "metrics": {"a": None, "b": 1e-9}}
        assert self.told(now) == [
            "models / epoll / metrics / a: was 2.0, is None",
            "models / epoll / metrics / b: was 0, is 1e-09",
        ]


def test_a_name_that_is_not_shipped_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert record.main(["quikstart"]) == 2
    assert "no scenario quikstart; there are accept_imbalance, " in capsys.readouterr().err
