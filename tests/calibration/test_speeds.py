"""Two speeds of a core are recognised, and one is not taken for two."""

from random import Random

import pytest

from iosim.calibration.speeds import reference_loop_ns, two_speeds


def test_two_heaps_are_two_speeds() -> None:
    random = Random(1)
    fast = [random.gauss(100, 4) for _ in range(120)]
    slow = [random.gauss(190, 8) for _ in range(40)]
    times = fast + slow
    random.shuffle(times)
    found = two_speeds(times)
    assert found is not None
    assert found.slowdown == pytest.approx(1.9, rel=0.02)
    assert found.slow_share == 0.25
    assert max(fast) < found.limit < min(slow)


@pytest.mark.parametrize("seed", range(20))
def test_one_heap_is_one_speed_however_wide(seed: int) -> None:
    random = Random(seed)
    assert two_speeds([random.lognormvariate(5, 0.2) for _ in range(200)]) is None
    assert two_speeds([random.uniform(100, 200) for _ in range(200)]) is None
    assert two_speeds([100 + random.expovariate(0.05) for _ in range(200)]) is None


def test_a_drift_is_no_second_speed() -> None:
    assert two_speeds([100 + i for i in range(100)]) is None


def test_accidents_are_no_second_speed() -> None:
    assert two_speeds([100.0] * 98 + [200.0, 210.0]) is None
    assert two_speeds([100.0, 200.0]) is None


def test_speeds_close_to_each_other_are_one() -> None:
    assert two_speeds([100.0] * 50 + [110.0] * 50) is None


def test_the_reference_loop_takes_time() -> None:
    assert reference_loop_ns() > 0
