"""Measured durations from a file: what is drawn of them, what is refused, and where it is told."""

import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iosim.errors import ScenarioError
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, from_data, load
from iosim.simulation import run_once

SCENARIO = """
server:
  handler:
    - cpu: {empirical: {file: times.csv, column: service, unit: us}}
workload: {open: {rate: 1k/s}}
models: [epoll]
run: {duration: 200ms, warm_up: none}
"""


def read(folder: Path, text: str | bytes) -> Scenario:
    (folder / "scenario.yaml").write_text(SCENARIO)
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "times.csv").write_bytes(data)
    return load(folder / "scenario.yaml")


def options(scenario: Scenario) -> Any:
    return scenario.server.handler[0].cpu.options  # type: ignore[union-attr]


def test_each_line_is_equally_likely_and_nothing_else_is_drawn(tmp_path: Path) -> None:
    """The path counts from the scenario's folder."""
    scenario = read(tmp_path, "service,host\n30,a\n10,b\n1.5,a\n10,c\n")
    drawn = Counter(options(scenario).sample(np.random.default_rng(1), 40_000).tolist())
    assert drawn.keys() == {30_000, 10_000, 1_500}
    # Four standard errors of a share of a quarter, or of a half.
    for value, share in ((30_000, 0.25), (10_000, 0.5), (1_500, 0.25)):
        assert abs(drawn[value] / 40_000 - share) < 4 * (share * (1 - share) / 40_000) ** 0.5
    assert options(scenario).mean_ns() == 51_500 / 4
    assert scenario.server.mean_cpu_ns == 51_500 / 4


def test_a_draw_is_the_inverse_of_the_distribution_function(tmp_path: Path) -> None:
    """The larger the random number, the larger the value, in whatever order the file has them."""
    scenario = read(tmp_path, "service\n4\n1\n3\n2\n")
    uniform = np.random.default_rng(3).random(1_000)
    expected = 1_000 * (1 + np.floor(4 * uniform))
    assert (options(scenario).sample(np.random.default_rng(3), 1_000) == expected).all()


def test_the_server_takes_that_long(tmp_path: Path) -> None:
    scenario = read(tmp_path, "service\n70\n20\n")
    record = run_once(scenario, scenario.models[0], load_profile("free").costs, 0)
    assert {request.cpu_ns for request in record.requests} == {70_000, 20_000}


def test_a_scenario_goes_to_other_processes_with_its_values(tmp_path: Path) -> None:
    scenario = pickle.loads(pickle.dumps(read(tmp_path, "service\n70\n20\n")))
    (tmp_path / "times.csv").unlink()
    assert options(scenario).mean_ns() == 45_000


UNITS = "expected a number of us, not negative in {file}, line "


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected one column 'service' in {file}, line 1, column 1, found nothing"),
        ("time\n1\n", "expected one column 'service' in {file}, line 1, column 1, found time"),
        ("servise\n1\n", "found servise; did you mean 'servise'?"),
        ("service,service\n1,2\n", "found two of them"),
        ("service\n", "expected a value in a line of its own in {file}, found none"),
        ("service\n1\n-2\n", UNITS + "3, column 1, found '-2'"),
        ("host,service\na,1\nbc,x\n", UNITS + "3, column 4, found 'x'"),
        ("service\n1\nnan\n", UNITS + "3, column 1, found 'nan'"),
        ("service\n1e400\n", UNITS + "2, column 1, found '1e400'"),
        ("service\n1_0\n", UNITS + "2, column 1, found '1_0'"),
        ("host,service\na,\n", UNITS + "2, column 3, found ''"),
        ("service\n1,2\n", "expected 1 values in {file}, line 2, column 1, found 2"),
        (b"\x7fELF\0\xff", "expected text in {file}, line 1, column 1, found binary data"),
        (b"service\n1\n\xff\n", "expected text in {file}, line 3, column 1, found binary data"),
    ],
)
def test_a_mistake_is_told_with_both_places(
    tmp_path: Path, text: str | bytes, expected: str
) -> None:
    with pytest.raises(ScenarioError) as error:
        read(tmp_path, text)
    where = f"{tmp_path / 'scenario.yaml'}:4:13: server.handler[0].cpu.empirical: "
    assert str(error.value).startswith(where)
    assert expected.format(file=tmp_path / "times.csv") in str(error.value)


def test_a_file_that_is_missing_is_told_with_the_scenarios_other_mistakes(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO.replace("1k/s", "1k"))
    with pytest.raises(ScenarioError) as error:
        load(tmp_path / "scenario.yaml")
    assert len(error.value.problems) == 2
    assert f"expected a readable file in {tmp_path / 'times.csv'}" in str(error.value)


def test_what_is_written_down_reads_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder that its paths count from."""
    written = read(tmp_path, "service\n1\n2\n")
    monkeypatch.chdir(tmp_path)
    assert from_data(written.to_data()) == written
