"""Probes of asking which of many descriptors are ready: select, poll and epoll.

Validated by: tests/calibration/test_probes.py
"""

import fcntl
import resource
import select
import socket
from dataclasses import dataclass

from iosim.calibration.probes.registry import Impossible, Place, Series, native, probe
from iosim.calibration.probes.timing import timed

for _n, _quick in ((10, True), (100, True), (1000, True), (9500, False)):
    native(
        __name__, "epoll",
        *(f"epoll_wait|n={{0}};k={k}" for k in (0, 1, 10, 100, 1000) if k <= _n),
        "epoll_ctl_mod|n={0}", "epoll_ctl_del+add|n={0}",
        arguments=[(_n,)], quick=_quick, samples=60,
    )  # fmt: skip
    native(
        __name__, "poll_ready", "poll|n={0};k=1",
        arguments=[(_n,)], quick=_quick, samples=40,
    )  # fmt: skip
native(__name__, "select_ready", "select|n={0};k=1", arguments=[(10,), (100,), (1000,)], samples=60)
native(
    __name__, "blocking_select", "blocking_select|n={0}",
    arguments=[(10,), (100,), (512,), (1000,)], samples=60,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watched:
    """Sockets of which one asks whether they are ready, and what each is connected to."""

    ends: list[socket.socket]
    peers: list[socket.socket]

    def let_be_ready(self, k: int) -> None:
        """`k` of them, evenly spread."""
        n = len(self.ends)
        for i in range(k):
            self.peers[(i * n + n // 2) // k].send(b"x")


def watched(n: int) -> Watched:
    """`n`, with numbers as low as can be: select takes none above 1,023."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 2 * n + 64:
        raise Impossible(f"it needs {2 * n + 64} open files, and may have {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    ends, peers = [], []
    for _ in range(n):
        end, peer = socket.socketpair()
        moved = fcntl.fcntl(peer.fileno(), fcntl.F_DUPFD, n + 32)
        peer.close()
        ends.append(end)
        peers.append(socket.socket(fileno=moved))
    return Watched(ends, peers)


_WAITS = [(10, 1), (10, 10), (100, 1), (100, 10), (100, 100), (1000, 1), (1000, 10), (1000, 100)]
_LARGE_WAITS = [(9500, 1), (9500, 10), (9500, 100)]


@probe("epoll.poll|n={0};k={1}", arguments=_WAITS)
def epoll_poll(place: Place, n: int, k: int) -> Series:
    """One epoll.poll that finds k of n local sockets ready, and a list of k tuples."""
    some = watched(n)
    epoll = select.epoll(n)
    for end in some.ends:
        epoll.register(end, select.EPOLLIN)
    some.let_be_ready(k)
    return timed(place, 10 if k > 10 else 100, "poll(0)", poll=epoll.poll, some=some)


@probe("epoll.poll|n={0};k={1}", arguments=_LARGE_WAITS, quick=False)
def epoll_poll_of_many(place: Place, n: int, k: int) -> Series:
    """The same of n that are more than the second-level cache holds."""
    return epoll_poll(place, n, k)


@probe("epoll.modify")
def epoll_modify(place: Place) -> Series:
    """Another interest in one of ten sockets that an epoll watches."""
    some = watched(10)
    epoll = select.epoll()
    for end in some.ends:
        epoll.register(end, select.EPOLLIN)
    fd = some.ends[5].fileno()
    return timed(place, 200, "modify(fd, 1)", modify=epoll.modify, fd=fd, some=some)


@probe("epoll.poll_ready_socketpair|{0}", arguments=[(1,), (100,)], samples=40)
def epoll_poll_all_ready(place: Place, n: int) -> Series:
    """An epoll.poll of n local sockets that are all ready, with the n tuples."""
    return epoll_poll(place, n, n)


@probe("poll.poll|n={0};k=1", arguments=[(10,), (100,), (1000,)], samples=40)
def poll_poll(place: Place, n: int) -> Series:
    """One poll.poll of n local sockets, one of which is ready; the array is kept between calls."""
    some = watched(n)
    poll = select.poll()
    for end in some.ends:
        poll.register(end, select.POLLIN)
    some.let_be_ready(1)
    return timed(place, max(1, 500 // n), "poll(0)", poll=poll.poll, some=some)


@probe("poll.poll|n={0};k=1", arguments=[(9500,)], samples=40, quick=False)
def poll_poll_of_many(place: Place, n: int) -> Series:
    """The same of n that are more than the second-level cache holds."""
    return poll_poll(place, n)


@probe("select.select(objs)|n={0};k=1", arguments=[(10,), (100,), (900,)], samples=40)
def select_objects(place: Place, n: int) -> Series:
    """One select.select of n socket objects, one of which is ready: fileno() is called on each."""
    some = watched(n)
    some.let_be_ready(1)
    return timed(
        place, max(1, 500 // n), "select(asked, (), (), 0)",
        select=select.select, asked=some.ends, some=some,
    )  # fmt: skip


@probe("select.select(ints)|n={0};k=1", arguments=[(10,), (100,), (900,)], samples=40)
def select_numbers(place: Place, n: int) -> Series:
    """The same of n descriptors as numbers: no method is called."""
    some = watched(n)
    some.let_be_ready(1)
    return timed(
        place, max(1, 500 // n), "select(asked, (), (), 0)",
        select=select.select, asked=[end.fileno() for end in some.ends], some=some,
    )  # fmt: skip
