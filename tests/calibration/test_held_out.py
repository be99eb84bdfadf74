"""What was fitted on is recognised, and what is only like it is not."""

from dataclasses import replace
from typing import Any

import pytest

from iosim.calibration.held_out import was_fitted
from iosim.calibration.light_runs import cell
from iosim.profile import FittedOn, load
from iosim.scenario import Scenario, from_data

PROFILE = replace(load("reference"), fitted_on=(FittedOn("epoll", "native", 16, 20_000, 5_000.0),))
LIGHT = cell("epoll", "native", 0.2, 5_200.0, 100, seed=1)


def changed(**parts: Any) -> Scenario:
    return from_data({**LIGHT.to_data(), **parts})


def test_what_was_fitted_on_is_known() -> None:
    assert was_fitted(PROFILE, LIGHT, "epoll")


def test_saturation_is_a_run_of_its_own() -> None:
    saturated = cell("epoll", "native", 1.0, 5_200.0, 100, seed=1)
    assert not was_fitted(PROFILE, saturated, "epoll")
    fitted = replace(PROFILE, fitted_on=(FittedOn("epoll", "native", 16, 20_000, None),))
    assert was_fitted(fitted, saturated, "epoll")
    assert not was_fitted(fitted, LIGHT, "epoll")

    assert not was_fitted(load("reference"), LIGHT, "epoll")


@pytest.mark.parametrize(
    "parts",
    [
        {"machine": {"runtime": "cpython"}},
        {"server": {"handler": [{"cpu": "100us"}]}},
        {
            "server": {"handler": [{"cpu": "20us"}, {"call": "db"}]},
            "devices": {"db": {"remote": {"latency": "1ms"}}},
        },
        {"workload": {"open": {"rate": "5k/s", "connections": {"total": 128}}}},
        {"workload": {"open": {"rate": "12k/s", "connections": {"total": 16}}}},
        {"workload": {"closed": {"users": 16, "think": "1ms", "connections": {"total": 16}}}},
    ],
)
def test_what_differs_is_held_out(parts: dict[str, Any]) -> None:
    assert not was_fitted(PROFILE, changed(**parts), "epoll")


def test_another_model_is_held_out() -> None:
    assert not was_fitted(PROFILE, LIGHT, "select")
