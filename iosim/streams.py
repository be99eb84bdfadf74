"""Named random streams: every component draws from its own, and two models see the same draws.

A stream is named by (component, index) and belongs to one (seed, replication). Its seed is a pure
function of those four, so adding, removing or reordering components disturbs no other stream, and
two I/O models simulated with the same seed face the same arrivals and demands (common random
numbers). Nothing depends on Python's own `hash`, the process, or the number of workers.

A scalar numpy draw costs several times what a value from a block costs, so the simulator never
draws one value at a time: `block_iterator` and `columns` hand out plain Python values from blocks.

*Scope*: open workloads and devices take a generator each (`Streams.generator`, PCG64). A closed
workload of many users takes `Streams.user_block` (Philox, addressed by counter), which gives user u
the same values whatever the other users do and whoever goes first, at no memory per user.

*Not done*: no distribution lives here; a caller passes the draw. The values behind a seed are
numpy's, which may change a distribution's algorithm between versions (NEP 19).

*Source*: numpy reference, `SeedSequence`, "Parallel random number generation"; Philox: Salmon,
Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; common random numbers:
Law, "Simulation Modeling and Analysis", 5th ed., section 11.2.

*Validated by*: tests/unit/test_streams.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FIRST_BLOCK = 256
_BLOCK = 4096
_USER_BLOCK = 32
_WORD_LIMIT = 2**32


class Streams:
    """Hand out the random streams of one replication.

    `seed` and `replication` are integers >= 0 (`replication` below 2**32); raises ValueError else.
    """

    __slots__ = ("_prefix", "_users", "replication", "seed")

    def __init__(self, seed: int, replication: int, prefix: str = "") -> None:
        if seed < 0:
            raise ValueError(f"seed: expected an integer >= 0, found {seed}")
        _require_word("replication", replication)
        self.seed = seed
        self.replication = replication
        self._prefix = prefix
        self._users: dict[tuple[str, int], _UserStreams] = {}

    def of(self, part: str) -> Streams:
        """Return the streams of a part of the scenario: the same names, and others than here."""
        return Streams(self.seed, self.replication, f"{self._prefix}{part}: ")

    def generator(self, component: str, index: int = 0) -> np.random.Generator:
        """Return the stream named (component, index), from its beginning.

        A second call with the same name gives the same draws again: whatever must be independent
        needs a name or an index of its own. `index` is in 0..2**32-1; raises ValueError else.
        """
        import numpy as np

        return np.random.Generator(np.random.PCG64(self._seed_sequence(component, index)))

    def user_block(
        self,
        component: str,
        user: int,
        block: int,
        draw: Callable[[np.random.Generator, int], NDArray[Any]],
        size: int = _USER_BLOCK,
        index: int = 0,
    ) -> list[Any]:
        """Return block number `block` of one user's values: `draw(generator, size)` as a list.

        The values depend on (component, index, user, block, size) and on nothing drawn before.
        `user` and `block` are in 0..2**64-1. `draw` must not keep the generator: the next call
        moves it elsewhere. An endless stream of user 7's think times is
        `chain.from_iterable(streams.user_block("think", 7, block, draw) for block in count())`.
        """
        users = self._users.get((component, index))
        if users is None:
            users = _UserStreams(self._seed_sequence(component, index))
            self._users[component, index] = users
        values: list[Any] = draw(users.at(user, block), size).tolist()
        return values

    def _seed_sequence(self, component: str, index: int) -> np.random.SeedSequence:
        import numpy as np

        _require_word("index", index)
        # blake2b and not hash(): the latter differs from one Python process to the next.
        digest = blake2b(f"{self._prefix}{component}".encode(), digest_size=8).digest()
        # Each part of the key is exactly one 32-bit word, so that no two names share a key.
        name = (int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little"))
        return np.random.SeedSequence(self.seed, spawn_key=(*name, index, self.replication))


class _UserStreams:
    """One Philox generator that jumps to (user, block) by counter.

    Moving an existing generator costs about 1 us, building one about 8.
    """

    __slots__ = ("_counter", "_generator", "_philox", "_state")

    def __init__(self, seed: np.random.SeedSequence) -> None:
        import numpy as np

        self._philox = np.random.Philox(seed)
        self._generator = np.random.Generator(self._philox)
        # The state as first read is also an empty output buffer: setting it drops what a former
        # user left half drawn.
        self._state: Any = self._philox.state
        self._counter = self._state["state"]["counter"]

    def at(self, user: int, block: int) -> np.random.Generator:
        # The counter has four 64-bit words and counts in the first: a block owns 2**64 steps.
        self._counter[0] = 0
        self._counter[1] = block
        self._counter[2] = user
        self._philox.state = self._state
        return self._generator


@overload
def block_iterator(
    draw: Callable[[int], NDArray[np.signedinteger[Any]]], size: int = ...
) -> Iterator[int]: ...
@overload
def block_iterator(
    draw: Callable[[int], NDArray[np.floating[Any]]], size: int = ...
) -> Iterator[float]: ...
def block_iterator(draw: Callable[[int], NDArray[Any]], size: int = _BLOCK) -> Iterator[Any]:
    """Yield plain Python values without end, drawn in blocks of at most `size` (>= 1).

    `draw(n)` returns n values, as a one-dimensional array, from a generator of its own. The first
    block is small and the next ones double, so that a short run draws little in vain.
    Raises ValueError if `size` is below 1 or a block comes back with another length than asked for.
    """
    if size < 1:
        raise ValueError(f"size: expected an integer >= 1, found {size}")
    # chain, not a generator with `yield from`: a value then costs no Python frame.
    return chain.from_iterable(_blocks(draw, size))


def columns(*draws: Callable[[int], NDArray[Any]], size: int = _BLOCK) -> Iterator[tuple[Any, ...]]:
    """Yield tuples without end, one value from each draw: the demands of one request.

    Each draw needs a generator of its own, since a whole block is taken from one draw before the
    next. Raises ValueError if no draw is given, and as `block_iterator` does.
    """
    if not draws:
        raise ValueError("draws: expected at least one, found none")
    return zip(*(block_iterator(draw, size) for draw in draws), strict=False)


def _blocks(draw: Callable[[int], NDArray[Any]], size: int) -> Iterator[list[Any]]:
    for length in chain(_growing(size), repeat(size)):
        values: list[Any] = draw(length).tolist()
        if len(values) != length:
            raise ValueError(f"draw: expected {length} values, found {len(values)}")
        yield values


def _growing(size: int) -> Iterator[int]:
    length = _FIRST_BLOCK
    while length < size:
        yield length
        length *= 2


def _require_word(name: str, value: int) -> None:
    if not 0 <= value < _WORD_LIMIT:
        raise ValueError(f"{name}: expected an integer in 0..2**32-1, found {value}")
