"""Named random streams: the same draws for the same name, whatever else is drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import chain, count, islice, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from iosim.streams import Streams, block_iterator, columns


def first(streams: Streams, component: str, index: int = 0, n: int = 4) -> list[float]:
    values: list[float] = streams.generator(component, index).random(n).tolist()
    return values


def exponential(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
    return generator.standard_exponential(size)


# Names


def test_a_name_gives_the_same_draws_whatever_was_asked_before() -> None:
    alone = first(Streams(7, 0), "arrivals")

    streams = Streams(7, 0)
    streams.generator("disk").random(1000)
    streams.generator("arrivals", 1).random(10)
    streams.user_block("arrivals", 3, 0, exponential)

    assert first(streams, "arrivals") == alone
    assert first(streams, "arrivals") == alone


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**70),
            st.integers(0, 2**32 - 1),
            st.text("ab.01", max_size=9),
            st.integers(0, 2**32 - 1),
        ),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_seed_replication_component_and_index_each_make_another_stream(
    names: list[tuple[int, int, str, int]],
) -> None:
    a, b = [
        first(Streams(seed, replication), component, index)
        for seed, replication, component, index in names
    ]
    assert a != b


def test_neighbouring_names_differ_in_every_part() -> None:
    draws = [
        tuple(first(Streams(seed, replication), component, index))
        for seed in (0, 1)
        for replication in (0, 1)
        for component in ("a", "b", "ab", "")
        for index in (0, 1)
    ]
    assert len(set(draws)) == len(draws) == 32


def test_draws_do_not_depend_on_the_process_or_its_hash_seed() -> None:
    script = (
        "from iosim.streams import Streams\n"
        "s = Streams(42, 3)\n"
        "print(s.generator('arrivals', 1).random(3).tolist(),"
        " s.user_block('think', 9, 2, lambda g, n: g.random(n), size=3))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={
                **os.environ,
                "PYTHONHASHSEED": hash_seed,
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    here = Streams(42, 3)
    users = here.user_block("think", 9, 2, lambda g, n: g.random(n), size=3)
    assert outputs == {f"{first(here, 'arrivals', 1, n=3)} {users}\n"}


@pytest.mark.parametrize(
    ("seed", "replication", "index", "named"),
    [(-1, 0, 0, "seed"), (0, -1, 0, "replication"), (0, 2**32, 0, "replication"),
     (0, 0, -1, "index"), (0, 0, 2**32, "index")],
)  # fmt: skip
def test_numbers_out_of_range_are_refused_by_name(
    seed: int, replication: int, index: int, named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        Streams(seed, replication).generator("x", index)


def test_streams_of_neighbouring_names_are_uniform_and_uncorrelated() -> None:
    n = 4000
    table = np.array(
        [Streams(1, r).generator("arrivals", i).random(n) for r in range(5) for i in range(5)]
    )
    # 25 means of sd 0.0046 each; 300 correlations of sd 0.0158 each: 4.5 sd on both.
    assert np.abs(table.mean(axis=1) - 0.5).max() < 0.021
    correlations = np.corrcoef(table)[np.triu_indices(25, k=1)]
    assert np.abs(correlations).max() < 0.071


# Users of a closed workload


def test_a_users_block_does_not_depend_on_other_users_or_on_order() -> None:
    streams = Streams(5, 0)
    forwards = {
        (u, b): streams.user_block("think", u, b, exponential) for u in range(4) for b in range(3)
    }
    streams = Streams(5, 0)
    backwards = {
        (u, b): streams.user_block("think", u, b, exponential)
        for b in reversed(range(3))
        for u in reversed(range(4))
    }
    assert forwards == backwards
    assert len({tuple(values) for values in forwards.values()}) == 12
    assert Streams(5, 0).user_block("think", 3, 2, exponential) == forwards[3, 2]


def test_a_half_used_draw_leaves_nothing_behind_for_the_next_user() -> None:
    # A 32-bit integer leaves half a word in the bit generator's buffer.
    def small(generator: np.random.Generator, size: int) -> NDArray[np.int32]:
        return generator.integers(0, 2**31 - 1, size, dtype=np.int32)

    streams = Streams(5, 0)
    streams.user_block("think", 1, 0, small, size=1)
    after = streams.user_block("think", 2, 0, small, size=5)
    assert after == Streams(5, 0).user_block("think", 2, 0, small, size=5)


def test_users_blocks_components_indices_and_replications_make_other_values() -> None:
    blocks = [
        tuple(streams.user_block(component, user, block, exponential, index=index))
        for streams in (Streams(5, 0), Streams(5, 1))
        for component in ("think", "size")
        for user in (0, 1, 2**40)
        for block in (0, 1, 2**40)
        for index in (0, 1)
    ]
    assert len(set(blocks)) == len(blocks) == 72
    # No value turns up twice either: blocks do not overlap.
    assert len(set(chain.from_iterable(blocks))) == 72 * 32


def test_think_times_of_many_users_have_the_mean_and_variance_asked_for() -> None:
    streams = Streams(11, 0)
    table = np.array(
        [
            list(
                islice(
                    chain.from_iterable(
                        streams.user_block("think", user, block, exponential) for block in count()
                    ),
                    100,
                )
            )
            for user in range(1000)
        ]
    )
    # 1e5 exponentials: the mean's sd is 0.0032, the variance's 0.0089 (fourth moment 9).
    assert abs(table.mean() - 1) < 0.013
    assert abs(table.var() - 1) < 0.036
    between_users = np.corrcoef(table[:-1].ravel(), table[1:].ravel())[0, 1]
    assert abs(between_users) < 0.013


# Blocks


def test_values_are_plain_python_numbers_in_the_generators_order() -> None:
    streams = Streams(3, 0)
    expected = streams.generator("x").standard_exponential(10_000).tolist()
    drawn = list(islice(block_iterator(streams.generator("x").standard_exponential), 10_000))
    assert drawn == expected
    assert type(drawn[0]) is float

    whole = streams.generator("y")
    integers = block_iterator(lambda n: whole.integers(0, 100, n), size=8)
    assert list(islice(integers, 20)) == streams.generator("y").integers(0, 100, 20).tolist()
    assert type(next(integers)) is int


def asked_lengths(size: int, values: int) -> list[int]:
    lengths = []

    def draw(n: int) -> NDArray[np.int64]:
        lengths.append(n)
        return np.zeros(n, np.int64)

    list(islice(block_iterator(draw, size), values))
    return lengths


def test_the_first_block_is_small_and_blocks_grow_to_the_size() -> None:
    assert asked_lengths(4096, 1) == [256]
    assert asked_lengths(4096, 20_000) == [256, 512, 1024, 2048, 4096, 4096, 4096, 4096]
    assert asked_lengths(1000, 2000) == [256, 512, 1000, 1000]
    assert asked_lengths(100, 250) == [100, 100, 100]
    assert asked_lengths(1, 3) == [1, 1, 1]


def test_nothing_is_drawn_before_the_first_value_is_asked_for() -> None:
    assert asked_lengths(4096, 0) == []


def test_columns_pair_the_values_of_each_draw() -> None:
    a, b = Streams(3, 0).generator("a"), Streams(3, 0).generator("b")
    rows = list(islice(columns(a.standard_exponential, lambda n: b.integers(0, 9, n)), 9000))
    left = Streams(3, 0).generator("a").standard_exponential(9000).tolist()
    right = Streams(3, 0).generator("b").integers(0, 9, 9000).tolist()
    assert rows == list(zip(left, right, strict=True))


def test_an_empty_or_short_draw_is_an_error_and_not_an_endless_loop() -> None:
    with pytest.raises(ValueError, match=r"^draw: expected 256 values, found 0"):
        next(block_iterator(lambda n: np.zeros(0)))
    with pytest.raises(ValueError, match=r"^draw: expected 256 values, found 255"):
        next(columns(lambda n: np.zeros(n - 1)))


def test_a_size_below_one_and_no_draw_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"^size: expected"):
        block_iterator(np.zeros, size=0)
    with pytest.raises(ValueError, match=r"^draws: expected"):
        columns()


def test_two_models_see_the_same_requests() -> None:
    def requests(streams: Streams) -> list[tuple[Any, ...]]:
        gaps, demands = streams.generator("arrivals"), streams.generator("demands")
        return list(islice(columns(gaps.standard_exponential, demands.standard_exponential), 500))

    epoll, threads = Streams(9, 2), Streams(9, 2)
    threads.generator("scheduler").random(100)
    assert requests(epoll) == requests(threads)
    gaps = [gap for gap, _ in requests(epoll)]
    assert all(a != b for a, b in pairwise(gaps))
