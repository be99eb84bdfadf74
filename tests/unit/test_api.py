"""What `import iosim` offers, as a notebook uses it."""

from pathlib import Path

import pytest

import iosim
from iosim.errors import UsageError

TINY = """\
workload: {open: {rate: 5k/s, connections: {total: 4}}}
server: {handler: [{cpu: 10us}]}
models: [epoll]
run: {duration: 20ms, replications: 2, warm_up: none}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    return file


def test_all_that_is_offered_is_there() -> None:
    for name in iosim.__all__:
        assert getattr(iosim, name) is not None


def test_a_profile_by_name_by_file_or_itself(path: Path, tmp_path: Path) -> None:
    scenario = iosim.load(path)
    free = iosim.load_profile("free")
    assert isinstance(free, iosim.Profile)
    mine = tmp_path / "mine.yaml"
    mine.write_text("name: mine\ndescription: free\nextends: free\ncosts: {}\n")
    by_name = iosim.simulate(scenario, profile="free")
    assert by_name.profile == "free"
    assert by_name["epoll"].metrics == iosim.simulate(scenario, profile=free)["epoll"].metrics
    assert by_name["epoll"].metrics == iosim.simulate(scenario, profile=mine)["epoll"].metrics
    with pytest.raises(UsageError, match="did you mean 'free'"):
        iosim.simulate(scenario, profile="fre")


def test_a_precision_as_text_or_itself(path: Path) -> None:
    scenario = iosim.load(path)
    wanted = iosim.Precision.parse("30%@mean")
    assert wanted == iosim.Precision("mean within 30%", "response_time_mean_ns", 0.3)
    by_text = iosim.simulate(scenario, precision="30%@mean")
    assert by_text["epoll"].verdicts == {"mean within 30%": "pass"}
    by_object = iosim.simulate(scenario, precision=wanted)
    assert by_text["epoll"].metrics == by_object["epoll"].metrics
    with pytest.raises(UsageError, match="precision 5%@p98: .*did you mean 'p99'"):
        iosim.simulate(scenario, precision="5%@p98")


def test_one_cost_changed(path: Path) -> None:
    dear = iosim.load_profile("reference", changes={"context_switch": "5us"})
    assert dear.costs.context_switch_ns == 5_000
    assert iosim.simulate(iosim.load(path), dear).profile == "reference (context_switch=5us)"
    with pytest.raises(UsageError, match="did you mean 'context_switch'"):
        iosim.load_profile("reference", changes={"context_swich": "5us"})


def test_who_changes_a_cost_in_a_scenario_is_told_where_to(path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        iosim.load(path, changes={"profile.context_switch": "5us"})
    told = str(caught.value)
    assert 'iosim.load_profile("reference", changes={"context_switch": "5us"})' in told
    assert "iosim.simulate" in told
