"""Costs found again from the rows of a machine that is made up, with what is said of them."""

from collections import Counter
from dataclasses import replace
from math import log, sqrt

import numpy as np
import pytest
from synthetic import machine, rows

from iosim.calibration.passes import BETWEEN_PASSES, FLOOR, measured
from iosim.calibration.rows import Row, of_samples
from iosim.calibration.solving import solve
from iosim.profile import Profile, load


@pytest.fixture(scope="module")
def reference() -> Profile:
    return load("reference")


def row(number: int, name: str, ns: float, unit: str = "ns") -> Row:
    return Row(number, "c", name, "", unit, ns, 0.98 * ns, 1.02 * ns, 0.9 * ns, 1.1 * ns, 400)


class TestMeasured:
    def test_one_pass_is_as_uncertain_as_passes_usually_are(self) -> None:
        (found,) = measured([row(1, "a", 100)])
        assert found.sigma == pytest.approx(np.hypot(BETWEEN_PASSES, FLOOR), rel=0.02)

    def test_passes_that_agree_by_chance_borrow_from_those_that_do_not(self) -> None:
        apart = [
            row(number, f"r{i}", 100 * f) for i in range(9) for number, f in ((1, 1), (2, 1.3))
        ]
        found = {one.row: one for one in measured([*apart, row(1, "x", 50), row(2, "x", 50)])}
        assert found["c x"].sigma > 0.5 * found["c r0"].sigma

    def test_the_middle_is_the_geometric_mean(self) -> None:
        (found,) = measured([row(1, "a", 100), row(2, "a", 400), row(1, "n", 3, unit="count")])
        assert (found.ns, found.passes) == (pytest.approx(200), 2)

    def test_the_samples_of_a_pass_count(self) -> None:
        rng = np.random.default_rng(1)
        few = of_samples(1, "c", "few", "", list(100 * np.exp(rng.normal(0, 0.8, 5))))
        many = of_samples(1, "c", "many", "", list(100 * np.exp(rng.normal(0, 0.8, 5_000))))
        wide, narrow = measured([few, many])
        assert wide.sigma > 2 * narrow.sigma


def test_the_costs_come_back_within_their_stated_errors(reference: Profile) -> None:
    inside: Counter[str] = Counter()
    of: Counter[str] = Counter()
    squares: Counter[str] = Counter()
    for seed in range(40):
        rng = np.random.default_rng(seed)
        true = machine(reference, rng)
        for name, found in solve(reference, rows(reference, true, rng)).costs.items():
            known = true[name]
            if isinstance(found.value, tuple) or isinstance(known, tuple):
                continue
            apart = abs(log(max(1, found.value)) - log(max(1, known)))
            of[found.verdict] += 1
            inside[found.verdict] += apart < 1.96 * found.error
            squares[found.verdict] += (apart / found.error) ** 2
    assert of["identified"] > 1_000
    for verdict, count in of.items():
        if verdict != "not identified":
            assert inside[verdict] / count > 0.89, verdict
            # Nor are the errors much wider than they need be: two in three lie within one of them.
            assert sqrt(squares[verdict] / count) > 0.6, verdict


def test_what_is_measured_better_is_known_better(reference: Profile) -> None:
    true = machine(reference, np.random.default_rng(1))
    errors = [
        solve(
            reference, rows(reference, true, np.random.default_rng(2), passes, between)
        ).costs["accept4"].error
        for passes, between in ((8, 0.03), (2, 0.3))
    ]  # fmt: skip
    assert 2 * errors[0] < errors[1]


class TestVerdicts:
    @pytest.fixture
    def noisy(self, reference: Profile) -> dict[str, float]:
        """Each row as the reference's costs give it, twice as much."""
        values = {name: entry.value for name, entry in reference.entries.items()}
        found = rows(reference, values, np.random.default_rng(3), passes=1, between=0.0)
        return {row.key: 2 * row.median for row in found}

    @staticmethod
    def told(noisy: dict[str, float], *keys: str) -> list[Row]:
        return [
            Row(number, *key.split(" ", 2), "ns", ns, 0.99 * ns, 1.01 * ns, ns, ns, 400)
            for key in keys
            for number, ns in ((1, 0.98 * noisy[key]), (2, 1.02 * noisy[key]))
        ]

    def test_a_row_of_its_own_identifies_a_cost(
        self, reference: Profile, noisy: dict[str, float]
    ) -> None:
        found = solve(reference, self.told(noisy, "c null_syscall getppid")).costs
        assert {name: one.verdict for name, one in found.items()} == {"syscall": "identified"}
        assert found["syscall"].value == pytest.approx(200, rel=0.05)
        assert found["syscall"].error < 0.1

    def test_a_sum_is_parted_as_before(self, reference: Profile, noisy: dict[str, float]) -> None:
        keys = ("c null_syscall getppid", "c tcp_lo_send 64B")
        found = solve(reference, self.told(noisy, *keys)).costs
        parts = found["sendto"], found["receive_softirq"]
        assert parts[0].verdict == "in a sum"
        assert parts[1].verdict != "not identified"
        values = [part.value for part in parts]
        assert sum(values) == pytest.approx(2 * (805 + 1_210), rel=0.05)  # type: ignore[arg-type]
        assert 0.3 < values[0] / sum(values) < 0.5  # type: ignore[operator, arg-type]
        assert parts[0].correlated[0][0] == "receive_softirq"
        assert parts[0].correlated[0][1] < -0.5

    @pytest.mark.parametrize(("small_ns", "verdict"), [(200, "in a sum"), (5, "identified")])
    def test_a_cost_that_only_a_bound_on_another_tells_is_in_a_sum(
        self, reference: Profile, small_ns: int, verdict: str
    ) -> None:
        """One row of two costs: the large one is narrow, as the prior bounds the small one."""
        sums = (("py both of them", "sendto + receive_softirq"),)
        entries = {
            "sendto": replace(reference.entries["sendto"], value=800, spread=None, rows=sums),
            "receive_softirq": replace(
                reference.entries["receive_softirq"], value=small_ns, spread=None, rows=()
            ),
        }
        told = [
            Row(number, "py", "both", "of them", "ns", *[800.0 + small_ns] * 5, 400)
            for number in range(1, 9)
        ]
        found = solve(replace(reference, entries=entries), told).costs
        large = found["sendto"]
        assert large.error < 0.3 * large.prior
        assert large.verdict == verdict
        if small_ns == 200:
            assert dict(large.correlated)["receive_softirq"] < -0.9

    def test_a_cost_that_is_drowned_in_its_sums_stays_as_it_was(
        self, reference: Profile, noisy: dict[str, float]
    ) -> None:
        keys = ("c null_syscall getppid", "c poll n=100;k=1", "c poll n=1000;k=1")
        poll = solve(reference, self.told(noisy, *keys)).costs["poll"]
        assert (poll.verdict, poll.value) == ("not identified", 20)
        assert poll.error == poll.prior

    def test_points_of_a_table_that_no_row_tells_go_with_the_others(
        self, reference: Profile, noisy: dict[str, float]
    ) -> None:
        keys = ("c null_syscall getppid", "c poll n=100;k=1", "c poll n=1000;k=1")
        table = solve(reference, self.told(noisy, *keys)).costs["poll_per_descriptor"]
        assert table.verdict == "identified"
        before = reference.entries["poll_per_descriptor"].value
        assert isinstance(table.value, tuple) and isinstance(before, tuple)
        for (x, ns), (same, was) in zip(table.value, before, strict=True):
            assert x == same
            assert 1.5 < ns / was < 2.1

    def test_a_pair_of_buffers_tells_what_the_large_one_costs(
        self, reference: Profile, noisy: dict[str, float]
    ) -> None:
        keys = ("py recv_small_buffer 144B", "py recv_large_buffer 144B")
        found = solve(reference, self.told(noisy, *keys)).costs["asyncio_buffer"]
        assert found.verdict == "identified"
        assert found.value == pytest.approx(2 * 13_000, rel=0.1)

    def test_rows_without_an_equation_change_nothing(self, reference: Profile) -> None:
        assert solve(reference, [row(1, "unheard_of", 7)]).costs == {}


def test_rows_that_contradict_each_other_widen_the_errors(reference: Profile) -> None:
    values = {name: entry.value for name, entry in reference.entries.items()}
    good = rows(reference, values, np.random.default_rng(5), between=0.02)
    rng = np.random.default_rng(6)
    factors = {one.key: float(np.exp(rng.normal(0, 0.5))) for one in good}
    bad = [
        replace(one, **{f: getattr(one, f) * factors[one.key] for f in ("median", "q1", "q3")})
        for one in good
    ]
    sound, odd = solve(reference, good), solve(reference, bad)
    assert sound.birge < 1.5
    assert odd.birge > 3
    assert odd.costs["syscall"].error > 2 * sound.costs["syscall"].error
    assert max(map(abs, odd.misfit.values())) > 0.2 > max(map(abs, sound.misfit.values()))


def test_a_cost_is_between_what_is_measured_and_what_was_known(reference: Profile) -> None:
    """One row of one cost: the mean of both logarithms, each weighted by its precision."""
    told = row(1, "null_syscall getppid", 300)
    (one,) = measured([told])
    found = solve(reference, [told]).costs["syscall"]
    of_row, of_prior = one.sigma**-2, found.prior**-2
    assert isinstance(found.value, int)
    assert log(found.value / 100) == pytest.approx(log(3) * of_row / (of_row + of_prior), abs=0.003)
    assert found.error == pytest.approx((of_row + of_prior) ** -0.5, rel=1e-3)
