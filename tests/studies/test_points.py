"""A point: the scenario with its changes, and a hash that is the same exactly if its result is."""

from pathlib import Path
from typing import Any

import pytest
from small_sweeps import SMALL, written

from iosim import code_digest
from iosim.profile import load as load_profile
from iosim.scenario import load
from iosim.studies.points import Base, Point, named_files, point

TRACED = """\
devices:
  db: {remote: {latency: {empirical: {file: db.csv, column: us, unit: us}}}}
server:
  handler: [{call: db}]
workload:
  trace: {file: load.csv, connections: {total: 2}}
models: [epoll]
run: {duration: 5ms, replications: 1}
"""


@pytest.fixture
def base(tmp_path: Path) -> Base:
    return Base(load(written(tmp_path)))


def at(base: Base, *changes: str) -> Point:
    pairs = [change.partition("=") for change in changes]
    return point(base, 0, tuple((path, value) for path, _, value in pairs))


class TestDigests:
    def test_one_content_is_one_digest_however_it_was_written(self, base: Base) -> None:
        expected = at(base, "workload.open.rate=2k/s", "machine.cores=4").digest
        assert at(base, "machine.cores=4", "workload.open.rate=2000/s").digest == expected
        assert at(base, "machine.cores=4", "workload.open.rate=120k/min").digest == expected
        assert at(base, "machine.cores=4", "workload.open.rate=2001/s").digest != expected

    @pytest.mark.parametrize(
        "change",
        [
            "machine.cores=3",
            "run.seed=2",
            "run.duration=6ms",
            "models.coro.label=other",
            "profile.context_switch=x2",
            "machine.profile=free",
        ],
    )
    def test_what_numbers_depend_on_is_in_it(self, base: Base, change: str) -> None:
        assert at(base, change).digest != at(base).digest

    @pytest.mark.parametrize(
        ("name", "other"),
        [("code_sha256", lambda: "0" * 64), ("version", {"simpy": "4", "numpy": "999"}.get)],
    )
    def test_other_code_may_give_other_numbers(
        self, base: Base, monkeypatch: pytest.MonkeyPatch, name: str, other: Any
    ) -> None:
        before = at(base).digest
        monkeypatch.setattr(code_digest, name, other)
        code_digest.simulator.cache_clear()
        try:
            assert at(base).digest != before
        finally:
            code_digest.simulator.cache_clear()

    def test_costs_given_by_code_count(self, base: Base) -> None:
        dear = load_profile("reference", changes={"context_switch": "9us"})
        changed = at(Base(base.scenario, dear))
        assert changed.profile is dear
        assert changed.digest not in (at(base).digest, at(base, "profile.context_switch=9us"))

    def test_the_content_of_a_file_counts_and_where_it_stands_does_not(
        self, tmp_path: Path
    ) -> None:
        def digest(folder: str, latencies: str = "us\n100\n", arrival: str = "0.001") -> str:
            place = tmp_path / folder
            place.mkdir()
            (place / "db.csv").write_text(latencies)
            (place / "load.csv").write_text(f"time_s,connection\n{arrival},0\n")
            base = Base(load(written(place, TRACED)))
            assert list(named_files(base.scenario)) == ["db.csv", "load.csv"]
            return at(base, "machine.cores=1").digest

        expected = digest("a")
        assert digest("b") == expected
        assert digest("c", latencies="us\n101\n") != expected
        assert digest("d", arrival="0.002") != expected


class TestChanges:
    def test_costs_are_changed_beside_the_scenario(self, base: Base) -> None:
        changed = at(base, "profile.context_switch=5us", "machine.cores=8")
        assert changed.scenario is not None and changed.scenario.machine.cores == 8
        assert changed.profile is not None and changed.profile.costs.context_switch_ns == 5_000
        assert changed.told == "profile.context_switch=5us machine.cores=8"

    def test_a_default_does_not_stand_in_the_way_of_another_kind(self, base: Base) -> None:
        changed = at(base, "machine.network.nic.latency=50us")
        assert changed.error is None
        assert changed.scenario is not None and changed.scenario.machine.network.kind == "nic"

    def test_a_profile_beside_the_scenario(self, tmp_path: Path) -> None:
        (tmp_path / "mine.yaml").write_text(
            "name: mine\ndescription: dear\nextends: reference\n"
            "costs: {context_switch: {value: 7us, how: assumed, source: here}}\n"
        )
        base = Base(load(written(tmp_path, SMALL.replace("{cores: 2}", "{profile: mine.yaml}"))))
        changed = at(base, "machine.cores=2")
        assert changed.profile is not None and changed.profile.costs.context_switch_ns == 7_000

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            (
                ["machine.cores=0"],
                "machine.cores: expected a count, such as 100 or 10k, more than 0, found 0",
            ),
            (
                ["machine.coers=2", "workload.open.rate=2us"],
                "found 'coers'; did you mean 'cores'?; workload.open.rate: expected a rate",
            ),
            (
                ["models.blokking.x=1"],
                "models.blokking.x: expected an entry of 'models' (blocking, coro, coroutine),"
                " found 'blokking'; did you mean 'blocking'?",
            ),
            (["profile.contxt_switch=x2"], "did you mean 'context_switch'?"),
            (["machine.profile=refrence"], "did you mean 'reference'?"),
        ],
    )
    def test_changes_that_make_no_sense_say_why(
        self, base: Base, changes: list[str], error: str
    ) -> None:
        wrong = at(base, *changes)
        assert wrong.scenario is None
        assert wrong.error is not None
        assert error in wrong.error
        assert "\n" not in wrong.error
        assert wrong.digest == at(base, *changes).digest != at(base).digest

    def test_limits_are_lifted_by_force(self, base: Base) -> None:
        assert "--force" in (at(base, "machine.cores=300").error or "")
        assert at(Base(base.scenario, force=True), "machine.cores=300").error is None
