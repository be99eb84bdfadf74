"""Profiles: what is read, what is refused and how it is told; the shipped ones hold what they say.

The sums that a profile ties to measured rows are held here against the rows' quartiles.
"""

import csv
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iosim import profile as profile_module
from iosim.calibration.equations import equations
from iosim.errors import Mismatch, ScenarioError, UsageError
from iosim.machine.costs import Costs, interpolate
from iosim.profile import COST_NAMES, HOW, SHIPPED_FOLDER, Profile, find, load, with_costs

HEAD = "name: mine\ndescription: changed\nextends: reference\ncosts:\n"
TWO_US = "  context_switch: {value: 2us, spread: [1us, 3us], how: literature, source: a book}\n"


@pytest.fixture(scope="module")
def reference() -> Profile:
    return load("reference")


ONLY_CALIBRATED = (
    *("c wake_random_gap_", "c ring_of_threads ", "c blocking_select "),
    *("py recv_small_buffer ", "py recv_large_buffer ", "py Condition_", "py io_uring_"),
    *("py kill+sigtimedwait ", "py asyncio_streams "),
    *("py recv_EAGAIN_round ", "py uvloop_"),
)
"""Rows that a calibration measures, and that the reference's measurements do not have."""
OTHER_SPEEDS = ("py tcp_lo_send+recv 64B", "py epoll.poll n=10;k=1")
"""Rows whose sums are of C and of CPython, which were measured here at different speeds."""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def problems(path: Path) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        load(path)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


class TestShipped:
    @pytest.mark.parametrize("name", ["reference", "free", "bare_metal", "no_mitigations"])
    def test_gives_every_cost_and_says_how_it_is_known(self, name: str) -> None:
        profile = load(name)
        assert profile.name == name
        assert tuple(profile.entries) == COST_NAMES
        for cost, entry in profile.entries.items():
            assert entry.how in HOW, cost
            assert len(entry.source) > 10, cost
            assert isinstance(entry.value, tuple) == (entry.x_unit is not None), cost

    def test_every_cost_is_the_field_that_it_names(self, reference: Profile) -> None:
        for field in fields(Costs):
            if field.init and field.default is MISSING:
                name, _, unit = field.name.rpartition("_")
                entry = reference.entries[name]
                assert getattr(reference.costs, field.name) == entry.value
                assert entry.unit == unit

    def test_every_number_of_the_reference_has_a_spread(self, reference: Profile) -> None:
        assert [name for name, entry in reference.entries.items() if entry.spread is None] == []

    @pytest.mark.parametrize("name", ["bare_metal", "no_mitigations"])
    def test_what_is_scaled_does_not_claim_to_be_measured(
        self, name: str, reference: Profile
    ) -> None:
        profile = load(name)
        assert profile.measurements == reference.measurements
        own = {cost for cost, entry in profile.entries.items() if entry.taken_from is None}
        assert 5 <= len(own) <= 20
        for cost, entry in profile.entries.items():
            if cost in own:
                assert entry.how in {"literature", "assumed"}, cost
                assert entry.spread is not None, cost
                assert entry.rows == ()
                assert entry.value != reference.entries[cost].value, cost
            else:
                assert entry.taken_from == "reference"
                assert entry == reference.entries[cost]

    def test_without_a_hypervisor_waking_is_cheap_unless_idle_was_deep(
        self, reference: Profile
    ) -> None:
        bare = load("bare_metal").costs
        for idle_us, cheaper in ((10, True), (100, True), (2_000, False)):
            there, here = (c.leave_idle(idle_us * 1_000) for c in (reference.costs, bare))
            assert (sum(here) < sum(there)) == cheaper
            assert here[1] <= here[0]

    def test_free_costs_nothing(self) -> None:
        kept = {"cache": 32 * 1024**2, "cpython_switch_interval": 5_000_000}
        kept["stolen_gap"] = 1_000_000_000
        for name, entry in load("free").entries.items():
            value = entry.value
            total = sum(y for _, y in value) if isinstance(value, tuple) else value
            assert total == kept.get(name, 0), name

    def test_nothing_slow_is_imported(self) -> None:
        slow = "{'numpy', 'scipy', 'pandas', 'simpy', 'pydantic'}"
        code = f"import sys, iosim.profile; print(sorted({slow} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        assert done.stdout.decode().strip() == "[]"


class TestRows:
    """What a profile says about measured rows, worked out."""

    @staticmethod
    def measured(profile: Profile) -> dict[str, list[tuple[float, float, float]]]:
        """Map a row's name to (first quartile, median, third quartile) of each pass."""
        rows: dict[str, list[tuple[float, float, float]]] = {}
        assert profile.measurements is not None
        with (SHIPPED_FOLDER / profile.measurements).open() as file:
            for row in csv.DictReader(file):
                assert row["unit"] == "ns"
                name = " ".join(filter(None, (row["lang"], row["name"], row["param"])))
                quartiles = (float(row["q1"]), float(row["median"]), float(row["q3"]))
                rows.setdefault(name, []).append(quartiles)
        return rows

    def test_the_sums_come_back_to_the_rows(self, reference: Profile) -> None:
        measured = self.measured(reference)
        values = {name: entry.value for name, entry in reference.entries.items()}
        checked = 0
        wrong = []
        for row, equation in equations(reference).items():
            passes = measured.get(row, ())
            if row.startswith(ONLY_CALIBRATED) or row in OTHER_SPEEDS:
                continue
            assert len(passes) == 2, row
            total = equation.total_ns(values)
            low = min(q1 for q1, _, _ in passes)
            high = max(q3 for _, _, q3 in passes)
            middle = mean(median for _, median, _ in passes)
            checked += 1
            if not low <= total <= high or abs(total / middle - 1) > 0.10:
                wrong.append(f"{row}: {equation.text} = {total}, not {middle} ({low} to {high})")
        assert wrong == []
        assert checked > 35

    def test_a_row_stands_at_a_cost_that_it_holds(self, reference: Profile) -> None:
        known = equations(reference)
        for name, entry in reference.entries.items():
            for row, _ in entry.rows:
                assert name in {term.cost for term in known[row].terms}, f"{name}: {row}"

    def test_what_is_said_to_be_a_third_is_a_third(self, reference: Profile) -> None:
        costs = reference.costs
        pairs = zip(costs.idle_exit_ns, costs.idle_exit_charged_ns, strict=True)
        for (idle_ns, latency_ns), (same_ns, charged_ns) in pairs:
            assert idle_ns == same_ns
            if idle_ns <= 1_000_000:
                assert charged_ns == pytest.approx(latency_ns / 3, rel=0.01)
            else:
                assert latency_ns / 3 < charged_ns < latency_ns / 2

    @pytest.mark.parametrize(("threads", "extra_ns"), [(16, 1_500), (128, 2_500), (512, 5_200)])
    def test_the_ring_of_threads(self, reference: Profile, threads: int, extra_ns: int) -> None:
        costs = reference.costs
        distance_bytes = (threads - 1) * costs.thread_working_set_bytes
        per_kib_ns = interpolate(costs.cache_refill_per_kib_ns, distance_bytes)
        assert per_kib_ns * 8 == pytest.approx(extra_ns, rel=0.01)

    @pytest.mark.parametrize(("connections", "extra_ns"), [(16, 500), (128, 1_400), (512, 2_600)])
    def test_more_connections(self, reference: Profile, connections: int, extra_ns: int) -> None:
        costs = reference.costs
        distance_bytes = (connections - 1) * costs.connection_bytes
        refill_ns = costs.refill(distance_bytes, costs.connection_bytes)
        assert refill_ns == pytest.approx(extra_ns, rel=0.2)


class TestFinding:
    def test_a_name_is_a_shipped_profile(self) -> None:
        assert find("free") == SHIPPED_FOLDER / "free.yaml"

    def test_a_path_counts_from_the_folder(self, write: Write) -> None:
        path = write(HEAD + TWO_US)
        assert find("mine.yaml", path.parent) == path
        assert load("mine.yaml", path.parent).costs.context_switch_ns == 2_000

    def test_an_unknown_name_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(Mismatch, match="did you mean 'reference'"):
            find("refrence")
        with pytest.raises(UsageError) as caught:
            load("refrence")
        assert str(caught.value) == (
            "profile: expected a profile (bare_metal, free, no_mitigations, reference) or "
            "the path of a YAML file, "
            "found 'refrence'; did you mean 'reference'?"
        )

    def test_a_folder_is_no_profile(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError):
            load(tmp_path)


class TestExtending:
    def test_only_what_is_given_differs(self, write: Write, reference: Profile) -> None:
        profile = load(write(HEAD + TWO_US))
        entry = profile.entries["context_switch"]
        assert (entry.value, entry.spread, entry.how) == (2_000, (1_000, 3_000), "literature")
        assert tuple(profile.entries) == COST_NAMES
        differing = [n for n in COST_NAMES if profile.entries[n] != reference.entries[n]]
        assert differing == ["context_switch"]
        assert (profile.name, profile.machine) == ("mine", reference.machine)
        assert profile.measurements == reference.measurements

    def test_who_says_what_is_known(self, write: Write) -> None:
        write(HEAD + TWO_US, "base.yaml")
        poll = "  poll: {value: 3ns, how: assumed, source: a guess}\n"
        top = HEAD.replace("reference", "base.yaml").replace("name: mine", "name: top")
        entries = load(write(top + poll, "top.yaml")).entries
        told_by = {name: entries[name].taken_from for name in ("poll", "context_switch", "close")}
        assert told_by == {"poll": None, "context_switch": "mine", "close": "reference"}

    def test_from_the_folder_of_the_file(self, write: Write) -> None:
        write(HEAD + TWO_US, "base.yaml")
        top = write(HEAD.replace("reference", "base.yaml") + TWO_US.replace("2us", "2.5us"))
        profile = load(top)
        assert profile.costs.context_switch_ns == 2_500

    def test_the_hash_knows_what_is_extended(self, write: Write) -> None:
        top = write(HEAD.replace("reference", "base.yaml") + TWO_US, "top.yaml")
        write(HEAD + TWO_US, "base.yaml")
        before = load(top)
        write(HEAD + TWO_US.replace("2us", "3us"), "base.yaml")
        assert load(top).sha256 != before.sha256
        write(HEAD + TWO_US, "base.yaml")
        assert load(top) == before

    def test_not_in_a_circle(self, write: Write) -> None:
        path = write(HEAD.replace("reference", "other.yaml") + TWO_US)
        other = write(HEAD.replace("reference", "mine.yaml") + TWO_US, "other.yaml")
        with pytest.raises(ScenarioError) as caught:
            load(path)
        assert str(caught.value) == (
            f"{other}:3:1: extends: expected a profile that does not extend this one, "
            "found 'mine.yaml'"
        )

    def test_problems_of_both_files_are_told(self, write: Write) -> None:
        write("name: base\ndescription: x\ncosts: {}\nextends: nobody\n", "base.yaml")
        path = write(HEAD.replace("reference", "base.yaml") + "  poll: 3ns\n")
        with pytest.raises(ScenarioError) as caught:
            load(path)
        told = str(caught.value).splitlines()
        assert len(told) == 2
        assert "base.yaml:4:1: extends: " in told[0]
        assert "mine.yaml:5:3: costs.poll: " in told[1]


class TestRefusing:
    def test_all_at_once_with_their_places(self, write: Write) -> None:
        path = write(
            HEAD
            + "  context_swich: {value: 2us, how: assumed, source: x}\n"
            + "  syscall: {value: 20, how: mesured, source: x, spread: [1ns, 2ns]}\n"
            + "  futex: {value: 5ns, spread: [6ns, 7ns], how: assumed, source: ''}\n"
            + "  idle_exit: {table: [[9us, 1us], [9us, 2us], [1, 1us]], how: assumed, source: a}\n"
            + "  cold_execution: {value: 1us, how: assumed, source: x}\n"
            + "  cache: {value: 0B, how: assumed, source: x, colour: red}\n"
            + "  lock: 20ns\n"
            + "  poll_per_descriptor:\n"
            + "    table: [[10, 5ns], [x], [20, 5ns]]\n"
            + "    spread: [50%, x2]\n"
            + "    how: measured\n"
            + "    source: x\n"
            + "    rows: [a]\n"
        )
        assert problems(path) == [
            "5:3: costs.context_swich: expected the name of a cost, found 'context_swich'; "
            "did you mean 'context_switch'?",
            "6:13: costs.syscall.value: expected a duration with its unit, such as 20us, found 20",
            "6:24: costs.syscall.how: expected one of measured, fitted, derived, literature, "
            "assumed, found 'mesured'; did you mean 'measured'?",
            "7:23: costs.futex.spread: expected low <= value <= high, found 6ns to 7ns",
            "7:57: costs.futex.source: expected a text, found ''",
            "8:35: costs.idle_exit.table[1]: expected x to increase, so more than 9us, found '9us'",
            "8:47: costs.idle_exit.table[2]: expected a duration with its unit, such as 20us, "
            "found 1",
            "9:3: costs.cold_execution: expected a key 'table', found none",
            "9:20: costs.cold_execution.value: expected one of the keys table, how, source, "
            "spread, rows, found 'value'; did you mean 'table'?",
            "10:11: costs.cache.value: expected more than 0, found '0B'",
            "10:47: costs.cache.colour: expected one of the keys value, how, source, spread, rows, "
            "found 'colour'",
            "11:3: costs.lock: expected a mapping with the keys 'value', 'how' and 'source', "
            "found '20ns'",
            "13:24: costs.poll_per_descriptor.table[1]: expected a pair [x, duration], "
            "found a list",
            "14:5: costs.poll_per_descriptor.spread: expected a factor such as x0.5, found '50%'",
            "17:5: costs.poll_per_descriptor.rows: expected a mapping of measured rows to sums of "
            "costs, found a list",
        ]

    def test_a_cost_that_is_missing(self, write: Write) -> None:
        shipped = (SHIPPED_FOLDER / "free.yaml").read_text()
        line = "  futex: {value: 0ns, how: assumed, source: zero on purpose}\n"
        assert line in shipped
        path = write(shipped.replace(line, ""))
        assert problems(path) == ["10:1: costs: expected a cost 'futex', found none"]

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("name: x\n", "1:1: expected a key 'costs', found none"),
            ("extends: reference\n", "1:1: expected a key 'name', found none"),
            (HEAD.replace("changed", "3"), "2:1: description: expected a text, found 3"),
            (
                HEAD.replace("name", "nme") + TWO_US,
                "1:1: nme: expected one of the keys name, description, costs, machine, date, "
                "extends, measurements, fitted_on, host_noise, found 'nme'; did you mean 'name'?",
            ),
            (
                "date: yesterday\n" + HEAD + TWO_US,
                "1:1: date: expected a date such as 2026-11-23, found 'yesterday'",
            ),
            (HEAD + "  - 1\n", "4:1: costs: expected a mapping of costs, found a list"),
            (HEAD.replace("reference", "[]"), "3:1: extends: expected a text, found an empty list"),
            (
                HEAD.replace("reference", "fre"),
                "3:1: extends: expected a profile (bare_metal, free, no_mitigations, reference) or "
                "the path of a YAML file, "
                "found 'fre'; did you mean 'free'?",
            ),
            (HEAD + "  syscall: {value: 1us\n", "6:1: expected valid YAML"),
        ],
    )
    def test_with_its_place(self, write: Write, text: str, told: str) -> None:
        assert any(line.startswith(told) for line in problems(write(text)))

    # Each example reads the reference too: no deadline, which a busy machine would miss.
    @settings(deadline=None, max_examples=50)
    @given(
        entry=st.recursive(
            st.none() | st.booleans() | st.integers() | st.sampled_from(["1us", "x2", "1KiB", ""]),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["value", "table", "spread", "how", "source", "rows"]), inner
                )
            ),
        ),
        name=st.sampled_from(COST_NAMES),
    )
    def test_whatever_it_is(self, tmp_path_factory: Any, entry: object, name: str) -> None:
        path = tmp_path_factory.getbasetemp() / "whatever.yaml"
        path.write_text(f"{HEAD}  {name}: {json.dumps(entry)}\n")
        assert problems(path)

    def test_what_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.yaml"
        path.write_bytes(b"name: \xff\n")
        assert problems(path) == ["1:7: expected text in UTF-8, found the byte 0xff"]


class TestChanging:
    def test_to_a_quantity(self, reference: Profile) -> None:
        changed = with_costs(reference, {"context_switch": "2us"})
        assert changed.costs.context_switch_ns == 2_000
        entry = changed.entries["context_switch"]
        assert (entry.how, entry.spread, entry.rows) == ("assumed", None, ())
        assert entry.source.startswith("changed to 2us from 630ns (derived: Two threads")
        assert changed.name == "reference (context_switch=2us)"

    def test_by_a_factor(self, reference: Profile) -> None:
        changed = with_costs(reference, {"syscall": "x0.5", "idle_exit": "x2"})
        assert changed.costs.syscall_ns == 50
        assert changed.entries["syscall"].spread == (44, 58)
        was = reference.costs.idle_exit_ns
        assert changed.costs.idle_exit_ns == tuple((x, 2 * y) for x, y in was)
        assert changed.costs.leave_idle(10_000_000)[0] == 212_000
        assert changed.entries["idle_exit"].spread == reference.entries["idle_exit"].spread

    def test_leaves_the_rest_and_the_original_alone(self, reference: Profile) -> None:
        changed = with_costs(reference, {"poll": "1us"})
        assert [n for n in COST_NAMES if changed.entries[n] != reference.entries[n]] == ["poll"]
        assert reference.costs.poll_ns == 20
        assert with_costs(reference, {}) is reference

    def test_the_hash_tells_changes_apart_whatever_their_order(self, reference: Profile) -> None:
        both = {"poll": "1us", "lock": "x2"}
        changed = with_costs(reference, both)
        assert changed == with_costs(reference, dict(reversed(both.items())))
        others = [with_costs(reference, {"poll": text}) for text in ("1us", "2us", "x2")]
        assert len({p.sha256 for p in (reference, changed, *others)}) == 5

    def test_refuses_all_at_once(self, reference: Profile) -> None:
        changes = {
            "contextswitch": "2us",
            "syscall": "2",
            "idle_exit": "2us",
            "cpython_switch_interval": "0ns",
            "cache": "x0",
            "poll": "x-1",
            "lock": "x999999999",
            "thread_memory": "x999999999",
            "process_memory": "1GiB",
        }
        changed = with_costs(reference, {"process_memory": "1GiB", "lock": "x999999999"})
        assert changed.costs.lock_ns == 20 * 999_999_999
        twice = with_costs(changed, {"lock": "x10"})
        with pytest.raises(UsageError, match=r"profile\.lock: expected a factor that keeps"):
            with_costs(twice, {"lock": "x999999999"})
        with pytest.raises(UsageError) as caught:
            with_costs(reference, changes)
        assert str(caught.value).splitlines() == [
            "profile.contextswitch: expected the name of a cost, found 'contextswitch'; "
            "did you mean 'context_switch'?",
            "profile.syscall: expected a duration with its unit, such as 20us, found '2'",
            "profile.idle_exit: expected a factor on the table, such as x0.5, found '2us'",
            "profile.cpython_switch_interval: expected more than 0, found '0ns'",
            "profile.cache: expected more than 0, found 'x0'",
            "profile.poll: expected a factor such as x0.5, found 'x-1'",
        ]


def test_a_profile_survives_a_process_boundary(reference: Profile) -> None:
    copy = pickle.loads(pickle.dumps(reference))
    assert copy == reference
    assert copy.costs.leave_idle(100_000) == reference.costs.leave_idle(100_000)


def test_every_table_has_a_unit_for_its_x() -> None:
    tables = {
        f.name.removesuffix("_ns")
        for f in fields(Costs)
        if f.init and f.type is not int and f.default is MISSING
    }
    assert tables == set(profile_module._PARSE_X)
