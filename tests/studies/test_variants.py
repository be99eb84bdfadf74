"""Variants give what simulating each by itself gives, on one process or several."""

from typing import Any

import pytest

import iosim
from iosim.errors import UsageError
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, from_data
from iosim.studies.variants import Variant, simulated


def scenario(**changes: Any) -> Scenario:
    return from_data(
        {
            "name": "small",
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": {"open": {"rate": "5k/s", "connections": {"total": 16}}},
            "models": ["epoll", "blocking"],
            "run": {"duration": "20ms", "replications": 2},
            **changes,
        }
    )


PROFILES = (load_profile("reference"), load_profile("reference", changes={"syscall": "x3"}))


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_gives_what_simulate_gives(jobs: int) -> None:
    variants = [Variant(scenario(), profile) for profile in PROFILES]
    found = list(simulated(variants, jobs))
    for variant, results in zip(variants, found, strict=True):
        expected = iosim.simulate(variant.scenario, variant.profile)
        assert results.to_document() == expected.to_document()
    assert found[0].to_document()["models"] != found[1].to_document()["models"]


def test_progress_counts_the_runs_of_all() -> None:
    seen = []
    other = scenario(models=["poll"])
    variants = [Variant(scenario(), PROFILES[0]), Variant(other, PROFILES[0])]
    list(simulated(variants, progress=lambda done, total: seen.append((done, total))))
    assert seen == [(done, 6) for done in range(1, 7)]


def test_a_run_that_cannot_go_on_is_its_models_error() -> None:
    connections = {"open": {"rate": "5k/s", "connections": {"total": 1100}}}
    (found,) = simulated([Variant(scenario(models=["select"], workload=connections), PROFILES[0])])
    (model,) = found
    assert model.error is not None and "select takes descriptors below 1,024" in model.error
    assert found.to_document() == iosim.simulate(found.scenario).to_document()


def test_no_jobs_are_refused() -> None:
    with pytest.raises(UsageError, match="jobs: expected at least 1"):
        list(simulated([Variant(scenario(), PROFILES[0])], jobs=0))
