"""Growth and cost: arithmetic, and what is refused."""

import pytest

from iosim.errors import UsageError
from iosim.studies.outlook import Growth, Prices, machines_for


def test_growth_is_compound() -> None:
    growth = Growth.parse("10%/month")
    assert (growth.fraction, growth.period) == (0.1, "month")
    assert growth.until(10_000, 10_000 * 1.1**7) == pytest.approx(7)
    assert growth.until(10_000, 20_000) == pytest.approx(7.2725, abs=1e-4)
    assert growth.until(10_000, 9_000) == 0


def test_cost_is_of_cores_and_memory() -> None:
    prices = Prices.parse("core=25/month, GiB=3/month")
    assert prices.period == "month"
    assert prices.of(4, 2**30) == 103
    assert Prices.parse("GiB=0.5/year").of(64, 3 * 2**29) == 0.75


@pytest.mark.parametrize(
    ("load", "capacity", "machines"),
    [(1_000, 2_000, 1), (2_000, 2_000, 1), (2_001, 2_000, 2), (9_000, 2_000, 5), (3.0, 0.3, 10)],
)
def test_as_many_machines_as_carry_it_together(load: float, capacity: float, machines: int) -> None:
    assert machines_for(load, capacity) == machines


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10%", "expected a part and a time"),
        ("ten/month", "a percentage"),
        ("0%/month", "expected more than 0%"),
        ("10%/mnth", "did you mean 'month'?"),
    ],
)
def test_what_is_no_growth(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=f"--growth {text}: .*") as caught:
        Growth.parse(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("core=25", "expected core=25/month, found 'core=25'"),
        ("cores=25/month", "did you mean 'core'?"),
        ("core=25/month,core=26/month", "once at most"),
        ("core=-1/month", "expected a price, found '-1'"),
        ("core=nan/month", "expected a price"),
        ("core=25/month,GiB=3/year", "expected one period for all"),
        ("GiB=3/mont", "did you mean 'month'?"),
    ],
)
def test_what_is_no_price(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        Prices.parse(text)
    assert told in str(caught.value)
