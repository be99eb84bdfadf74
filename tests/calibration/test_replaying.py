"""Host noise in a profile: read, refused, drawn, and met by the simulated cores."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iosim.calibration.writing import to_yaml
from iosim.errors import ScenarioError
from iosim.host_noise import HostNoise, Quantiles
from iosim.profile import Profile, load
from iosim.scenario import from_data
from iosim.simulation import simulate

HEAD = "name: mine\ndescription: noisy\nextends: reference\n"
NOISE = (
    "host_noise:\n  length: [[0%, 100us], [50%, 100us], [100%, 300us]]\n"
    "  gap: [[0%, 0ns], [100%, 900us]]\n  stolen: 21.7%\n  stationary: true\n"
)


def profile(tmp_path: Path, text: str) -> Profile:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + "costs: {}\n" + text)
    return load(path)


def test_it_is_read(tmp_path: Path) -> None:
    read = profile(tmp_path, NOISE)
    assert read.noise == HostNoise(
        ((0, 100_000), (500_000, 100_000), (1_000_000, 300_000)),
        ((0, 0), (1_000_000, 900_000)),
        0.217,
        True,
    )
    assert read.costs.stolen_gap_quantiles_ns == read.noise.gap_ns
    assert type(read.costs).from_data(read.costs.to_data()) == read.costs
    assert load("reference").noise is None


@pytest.mark.parametrize("stationary", [True, False, None])
def test_it_is_read_again_as_it_was_written(tmp_path: Path, stationary: bool | None) -> None:
    first = profile(tmp_path, NOISE)
    assert first.noise is not None
    noisy = replace(first, noise=replace(first.noise, stationary=stationary))
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(noisy))
    assert load(path).noise == noisy.noise
    told = {True: "true", False: "false", None: "unknown"}[stationary]
    assert f"stationary: {told}" in path.read_text()


def test_who_extends_it_has_it(tmp_path: Path) -> None:
    noisy = profile(tmp_path, NOISE)
    path = tmp_path / "top.yaml"
    path.write_text("name: top\ndescription: x\nextends: mine.yaml\ncosts: {}\n")
    assert load(path).noise == noisy.noise
    assert load(path, changes={"poll": "1us"}).costs.stolen_length_quantiles_ns


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        ("stolen: 21.7%", "stolen: 3", "host_noise.stolen: expected a percentage"),
        (
            "stationary: true",
            "stationary: yess",
            "host_noise.stationary: expected true, false or unkn",
        ),
        ("stationary: true", "stationary: null", "host_noise.stationary: expected true, false or"),
        ("stationary: true", "stationary: 1", "host_noise.stationary: expected true, false or"),
        ("[50%, 100us]", "[50%, 90us]", "host_noise.length: expected durations that do not fall"),
        ("[50%, 100us]", "50%", "host_noise.length[1]: expected a pair [quantile, duration]"),
        ("[50%, 100us]", "[50%, 9]", "host_noise.length[1]: expected a duration"),
        ("[[0%, 0ns]", "[[1%, 0ns]", "host_noise.gap: expected quantiles that rise from 0% to"),
        ("900us", "0ns", "host_noise.gap: expected a duration of more than 0"),
        ("gap:", "gaps:", "host_noise.gaps: expected one of the keys length, gap, stolen"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, line: str, instead: str, told: str) -> None:
    assert line in NOISE
    with pytest.raises(ScenarioError) as caught:
        profile(tmp_path, NOISE.replace(line, instead))
    assert told in str(caught.value)


def test_what_is_drawn_has_the_quantiles() -> None:
    table = ((0, 100), (250_000, 200), (900_000, 400), (1_000_000, 9_000))
    quantiles = Quantiles(table)
    drawn = quantiles.sample(np.random.default_rng(1), 100_000)
    assert drawn.dtype == np.int64
    for part, ns in ((0.25, 200), (0.9, 400)):
        assert (drawn <= ns).mean() == pytest.approx(part, abs=0.005)
    assert drawn.mean() == pytest.approx(quantiles.mean_ns(), rel=0.02)
    assert quantiles.mean_ns() == 0.25 * 150 + 0.65 * 300 + 0.1 * 4_700


def stolen(costs: Profile, noise: dict[str, Any]) -> float:
    scenario = from_data(
        {
            "machine": {"host_noise": noise},
            "server": {"handler": [{"cpu": "20us"}]},
            "workload": {"open": {"rate": "100k/s", "connections": {"total": 4}}},
            "models": ["epoll"],
            "run": {"duration": "1s", "replications": 1},
        }
    )
    (model,) = simulate(scenario, costs)
    (record,) = model.records
    return record.cores_ns[0]["stolen"] / record.window_ns


def test_a_scenario_replays_it_unless_it_says_otherwise(tmp_path: Path) -> None:
    """A core that always has work loses mean length / (mean length + mean gap)."""
    noisy = profile(tmp_path, NOISE)
    expected = 150 / (150 + 450)
    assert stolen(noisy, {"stolen": {}}) == pytest.approx(expected, rel=0.05)
    assert stolen(load("reference"), {"stolen": {}}) < 0.1
    other = {"length": "100us", "gap": "900us"}
    assert stolen(noisy, {"stolen": other}) == pytest.approx(0.1, rel=0.02)
