"""Distributions of durations: moments and quantiles of their samples, and what they refuse."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from iosim.distributions import KINDS, Distribution, DurationDistribution
from iosim.units import canonical_duration

DISTRIBUTION: TypeAdapter[Any] = TypeAdapter(Distribution)
DRAWS = 200_000
# Never fixed numbers of one run: 4 standard errors hold for 99.994 % of seeds.
ERRORS = 4


def options(value: object) -> DurationDistribution:
    chosen: DurationDistribution = DISTRIBUTION.validate_python(value).options
    return chosen


def draw(value: object, n: int = DRAWS, seed: int = 1) -> Any:
    return options(value).sample(np.random.default_rng(seed), n)


DURATIONS = str(Path(__file__).parents[1] / "golden" / "durations.csv")

# Spelling, exact mean in ns, standard deviation in ns.
EVERY = [
    ("20us", 20_000, 0),
    ({"exponential": "20us"}, 20_000, 20_000),
    ({"exponential": {"mean": "1ns"}}, 1, 1),
    ({"uniform": {"low": "10us", "high": "30us"}}, 20_000, 20_000 / math.sqrt(12)),
    ({"uniform": {"low": "0ns", "high": "3ns"}}, 1.5, math.sqrt(5) / 2),
    ({"lognormal": {"mean": "20us", "cv": 1.5}}, 20_000, 30_000),
    ({"lognormal": {"mean": "3ns", "cv": 1}}, 3, 3),
    (
        {"lognormal": {"median": "20us", "p99": "200us"}},
        20_000 * math.exp((math.log(10) / 2.3263478740408408) ** 2 / 2),
        42_100,
    ),
    ({"pareto": {"minimum": "10us", "shape": 5}}, 12_500, 10_000 * math.sqrt(5 / 48)),
    ({"pareto": {"mean": "12500ns", "shape": 5}}, 12_500, 10_000 * math.sqrt(5 / 48)),
    (
        {"bimodal": {"low": "5us", "high": "1ms", "high_fraction": "1%"}},
        14_950,
        995_000 * math.sqrt(0.01 * 0.99),
    ),
    # 4, 1, 2.5, 8 and 1 ms.
    (
        {"empirical": {"file": DURATIONS, "column": "time", "unit": "ms"}},
        3_300_000,
        math.sqrt(6_760_000) * 1_000,
    ),
]


class TestSamples:
    @pytest.mark.parametrize(("value", "mean_ns", "deviation_ns"), EVERY)
    def test_mean(self, value: object, mean_ns: float, deviation_ns: float) -> None:
        assert options(value).mean_ns() == pytest.approx(mean_ns)
        sample = draw(value)
        assert sample.dtype == np.int64
        assert sample.shape == (DRAWS,)
        assert sample.min() >= 0
        standard_error = sample.std() / math.sqrt(DRAWS)
        assert abs(sample.mean() - mean_ns) <= ERRORS * standard_error

    @pytest.mark.parametrize(("value", "mean_ns", "deviation_ns"), EVERY)
    def test_deviation(self, value: object, mean_ns: float, deviation_ns: float) -> None:
        # Rounding adds at most 1/4 ns2 of variance; heavy tails need the slack.
        sample = draw(value)
        assert sample.var() == pytest.approx(deviation_ns**2, rel=0.05, abs=0.25)

    def test_every_kind_is_tested(self) -> None:
        assert {DISTRIBUTION.validate_python(value).kind for value, _, _ in EVERY} == set(KINDS)

    @pytest.mark.parametrize("quantile", [0.5, 0.9, 0.99])
    @pytest.mark.parametrize(
        ("value", "inverse_ns"),
        [
            ({"exponential": "20us"}, lambda q: -20_000 * math.log(1 - q)),
            (
                {"lognormal": {"median": "20us", "p99": "200us"}},
                lambda q: {0.5: 20_000, 0.9: 71_105, 0.99: 200_000}[q],
            ),
            ({"pareto": {"minimum": "5us", "shape": 2.5}}, lambda q: 5000 * (1 - q) ** (-1 / 2.5)),
            ({"uniform": {"low": "10us", "high": "30us"}}, lambda q: 10_000 + 20_000 * q),
        ],
    )
    def test_quantiles(self, value: object, inverse_ns: Any, quantile: float) -> None:
        below = np.mean(draw(value) < inverse_ns(quantile))
        error = math.sqrt(quantile * (1 - quantile) / DRAWS)
        assert abs(below - quantile) <= ERRORS * error

    def test_rounding_keeps_the_mean_of_a_few_nanoseconds(self) -> None:
        # Rounding to the nearest would give 0.96 ns, rounding down 0.58, rounding up 1.58.
        sample = draw({"exponential": "1ns"}, n=1_000_000)
        assert abs(sample.mean() - 1) < ERRORS * sample.std() / 1000

    def test_uniform_reaches_both_ends(self) -> None:
        assert set(draw({"uniform": {"low": "2ns", "high": "4ns"}}, n=1000)) == {2, 3, 4}
        assert set(draw({"uniform": {"low": "7ns", "high": "7ns"}}, n=9)) == {7}

    def test_the_tail_is_cut_before_it_overflows(self) -> None:
        sample = draw({"pareto": {"minimum": "500000h", "shape": 1.8}})
        assert sample.max() == 2**62
        assert sample.min() >= 500_000 * 3.6e12

    @pytest.mark.parametrize(("value", "mean_ns", "deviation_ns"), EVERY)
    def test_same_seed_same_sample(
        self, value: object, mean_ns: float, deviation_ns: float
    ) -> None:
        assert np.array_equal(draw(value, 500, seed=3), draw(value, 500, seed=3))
        if deviation_ns:
            assert not np.array_equal(draw(value, 500, seed=3), draw(value, 500, seed=4))
        assert len(draw(value, 0)) == 0

    @given(st.integers(1, 10**9), st.integers(1, 10**5), st.integers(0, 2**32))
    def test_lognormal_from_quantiles(self, median_ns: int, ratio: int, seed: int) -> None:
        spelled = {
            "median": canonical_duration(median_ns),
            "p99": canonical_duration(median_ns * (ratio + 1)),
        }
        chosen = options({"lognormal": spelled})
        assert chosen.mean_ns() >= median_ns
        sample = chosen.sample(np.random.default_rng(seed), 1000)
        # 1,000 draws: a median beyond 40 % or 60 % of them is 6 standard errors away.
        assert np.quantile(sample, 0.4) - 1 <= median_ns <= np.quantile(sample, 0.6) + 1
        assert sample.min() >= 0

    @given(st.integers(0, 10**15), st.integers(0, 10**15), st.floats(0, 1))
    def test_bimodal_has_two_values(self, a: int, b: int, fraction: float) -> None:
        low, high = sorted((a, b))
        spelled = {
            "low": canonical_duration(low),
            "high": canonical_duration(high),
            "high_fraction": f"{fraction * 100:.6f}%",
        }
        chosen = options({"bimodal": spelled})
        assert set(chosen.sample(np.random.default_rng(1), 100)) <= {low, high}
        assert low * (1 - 1e-9) <= chosen.mean_ns() <= high * (1 + 1e-9)


class TestRefused:
    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (20, "a duration with its unit, such as 20us, found 20"),
            (0, "a duration with its unit, such as 20us, found 0"),
            ("20", "a duration with its unit, such as 20us, found '20'"),
            ("exponental", "did you mean 'exponential'?"),
            ({"exponential": "0s"}, "more than 0, found '0s'"),
            ({"exponential": 20}, "a duration with its unit, such as 20us, found 20"),
            ({"uniform": {"low": "3us", "high": "2us"}}, "high at least low, 3us, found high 2us"),
            (
                {"bimodal": {"low": "3us", "high": "2us", "high_fraction": "1%"}},
                "high at least low, 3us, found high 2us",
            ),
            (
                {"lognormal": {"median": "20us", "p99": "20us"}},
                "p99 above the median, 20us, found p99 20us",
            ),
            ({"lognormal": {"median": "20us"}}, "median and p99, or mean and cv, found median"),
            ({"lognormal": {}}, "median and p99, or mean and cv, found neither"),
            (
                {"lognormal": {"median": "1us", "p99": "2us", "mean": "3us", "cv": 1}},
                "found median and p99 and mean and cv",
            ),
            ({"lognormal": {"median": "1us", "cv": 1}}, "found median and cv"),
            ({"lognormal": {"median": "1ns", "p99": "1000h"}}, "a mean below 146 years"),
            ({"lognormal": {"mean": "1us", "cv": 0}}, "greater than 0"),
            ({"pareto": {"shape": 2}}, "minimum and shape, or mean and shape, found shape"),
            (
                {"pareto": {"shape": 2, "mean": "1us", "minimum": "1us"}},
                "minimum and shape, or mean and shape, found minimum and shape and mean",
            ),
            ({"pareto": {"shape": 1, "mean": "1us"}}, "greater than 1"),
        ],
    )
    def test_refused(self, value: object, told: str) -> None:
        with pytest.raises(ValidationError) as caught:
            options(value)
        assert told in str(caught.value)


class TestSpelling:
    @pytest.mark.parametrize(("value", "mean_ns", "deviation_ns"), EVERY)
    def test_round_trip(self, value: object, mean_ns: float, deviation_ns: float) -> None:
        chosen = DISTRIBUTION.validate_python(value)
        dumped = DISTRIBUTION.dump_python(chosen, mode="json")
        assert list(dumped) == [chosen.kind]
        assert DISTRIBUTION.validate_python(dumped) == chosen

    def test_every_option_is_documented(self) -> None:
        for kind, kind_options in KINDS.items():
            assert kind_options.__doc__, kind
            for name, field in kind_options.model_fields.items():
                assert field.description, f"{kind}.{name}"


def test_importing_and_validating_needs_no_numpy() -> None:
    code = (
        "import sys; from pydantic import TypeAdapter; import iosim.distributions as d;"
        "TypeAdapter(d.Distribution).validate_python('20us').options.mean_ns();"
        "print([m for m in ('numpy', 'scipy', 'pandas', 'simpy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
