"""Readiness: select, poll and epoll, and asking every socket again and again.

What it models:

- `select` and `poll` look at every descriptor on each call. A call that may block also
  joins each descriptor's wait queue on the way, up to the first ready one; woken, it
  looks at all of them again, and leaves the queues. select(2) cannot name descriptors
  from FD_SETSIZE up.
- `epoll` is told once what to watch. Arrival puts the item on the ready list by a
  callback; `epoll_wait` looks at that list alone. Level-triggered, a reported item goes
  back on the list and is found empty or not by the next call; edge-triggered, it comes
  back only when more arrives; one-shot (EPOLLONESHOT), not before epoll_ctl re-arms it.
- Several threads may wait on one epoll: an arrival wakes the one that came last. A call
  that leaves something on the ready list, as each does that reports a level-triggered
  item, wakes the next thread: which may be told of the same, or find that it is gone.
- Several epolls may watch one socket, as a listener: all hear of an arrival, the latest to
  be added first. Of those that were added with EPOLLEXCLUSIVE, the first to be added
  whose thread waits is woken and those behind it hear nothing: one gets nearly all.
- A `Ring` is what a program polls in user space: it asks socket after socket. The
  simulator leaps over fruitless asks, and still charges and counts each.

A scan's answer is what was true at its end.

Each waits for data or for room in a socket's send buffer (EPOLLOUT, POLLOUT), not for both.

Not modelled: POLLPRI, nested epoll.
Source: select(2), poll(2), epoll(7), epoll_ctl(2); Linux 6.18 fs/select.c, fs/eventpoll.c
(ep_poll_callback, ep_ptable_queue_proc, ep_done_scan), kernel/sched/wait.c; Gammo et al.,
"Comparing and Evaluating epoll, select, and poll", OLS 2004.
Validated by: tests/timeline/test_readiness.py, tests/timeline/test_shared_readiness.py,
tests/shape/test_r1_descriptors.py
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Generator
from typing import Any, Final

from iosim.errors import DescriptorLimit
from iosim.machine.alarm import FAR_NS
from iosim.machine.calls import TIMED_OUT, Calls
from iosim.machine.sockets import Socket
from iosim.machine.thread import ENTRY, INTERRUPTED, RUN, SPIN, SYSCALL, USER, Thread, WaitQueue

FD_SETSIZE: Final = 1024
"""select(2) can watch descriptors below this one."""

EPOLLIN: Final = "EPOLLIN"
EPOLLOUT: Final = "EPOLLOUT"
NOTHING: Final = "0"
"""What to wait for in a socket: data, room in its send buffer, nothing for now."""


def is_ready(socket: Socket, events: str, ahead_ns: int = 0) -> bool:
    """Whether what is waited for is there; asked by who is `ahead_ns` ahead of the clock."""
    if events is EPOLLOUT:
        return socket.outgoing is None or socket.outgoing.writable(ahead_ns)
    return events is EPOLLIN and bool(socket.received)


class Item:
    """One socket in an epoll's interest list."""

    __slots__ = ("edge", "epoll", "events", "listed", "oneshot", "socket")

    def __init__(self, epoll: "Epoll", socket: Socket, edge: bool, oneshot: bool) -> None:
        self.epoll = epoll
        self.socket = socket
        # Reported once for each arrival; once until epoll_ctl arms it again.
        self.edge = edge or oneshot
        self.oneshot = oneshot
        self.listed = False
        self.events = EPOLLIN

    @property
    def ready(self) -> bool:
        """Whether what is waited for is there."""
        return is_ready(self.socket, self.events)

    def join(self) -> None:
        """Hear of arrivals, before those that have been added earlier."""
        self.socket.watchers.insert(0, self)

    def leave(self) -> None:
        """Hear of them no longer."""
        self.socket.watchers.remove(self)

    def on_writable(self, socket: Socket) -> None:
        self.on_readable(socket, EPOLLOUT)

    def on_readable(self, socket: Socket, events: str = EPOLLIN) -> bool:
        """Put it on the ready list; whether a thread has been woken by that."""
        if self.events is not events:
            return False
        epoll = self.epoll
        if not self.listed:
            self.listed = True
            epoll.ready.append(self)
        sleepers = epoll.wait_queue.sleepers
        if not sleepers:
            return False
        epoll.machine.wake_from(epoll.wait_queue, sleepers[-1])
        return True

    def on_closed(self, socket: Socket) -> None:
        self.epoll.forget(socket)


class ExclusiveItem(Item):
    """A socket that other epolls watch, too, of which one is to be woken."""

    __slots__ = ("peers",)

    peers: "ExclusiveItems"

    def join(self) -> None:
        watchers = self.socket.watchers
        last = watchers[-1] if watchers else None
        if isinstance(last, ExclusiveItems):
            self.peers = last
        else:
            self.peers = ExclusiveItems()
            watchers.append(self.peers)
        self.peers.items.append(self)

    def leave(self) -> None:
        self.peers.items.remove(self)


class ExclusiveItems:
    """Those that watch a socket with EPOLLEXCLUSIVE, as they were added: they hear last."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def on_readable(self, socket: Socket) -> None:
        for item in self.items:
            if item.on_readable(socket):
                break

    def on_writable(self, socket: Socket) -> None:
        """Never: a listener is not written to."""

    def on_closed(self, socket: Socket) -> None:
        for item in tuple(self.items):
            item.on_closed(socket)


class Epoll:
    """An epoll instance: interest list, ready list, and who waits."""

    __slots__ = ("interest", "machine", "ready", "wait_queue")

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.interest: dict[Socket, Item] = {}
        self.ready: list[Item] = []
        self.wait_queue = WaitQueue("epoll_wait")

    def forget(self, socket: Socket) -> None:
        """Watch `socket` no longer."""
        item = self.interest.pop(socket)
        item.leave()
        self.machine.memory.give_back("epoll items", self.machine.costs.epoll_item_memory_bytes)
        if item.listed:
            self.ready.remove(item)


class _WatchedList(list[Item]):
    """A ready list that tells each change of its length."""

    def __init__(self, items: list[Item], tell: Callable[[int], None]) -> None:
        super().__init__(items)
        self._tell = tell

    def append(self, item: Item) -> None:
        super().append(item)
        self._tell(1)

    def remove(self, item: Item) -> None:
        super().remove(item)
        self._tell(-1)

    def __setitem__(self, where: Any, items: Any) -> None:
        before = len(self)
        super().__setitem__(where, items)
        self._tell(len(self) - before)


class WatchedEpoll(Epoll):
    """An epoll that tells the machine's trace how long its ready list is."""

    __slots__ = ("_ready", "_told_ns")

    _ready: _WatchedList
    _told_ns: int

    @property
    def ready(self) -> list[Item]:
        """The ready list."""
        return self._ready

    @ready.setter
    def ready(self, items: list[Item]) -> None:
        before = len(self._ready) if hasattr(self, "_ready") else 0
        self._ready = _WatchedList(items, self._tell)
        self._tell(len(items) - before)

    def _tell(self, change: int) -> None:
        # Arrivals may act ahead of the clock; who looks after them is never before them.
        self._told_ns = max(self.machine.env._now, getattr(self, "_told_ns", 0))
        if change:
            self.machine.trace.listed(change, self._told_ns)


class DescriptorSet:
    """What a program passes to select or poll: an array of descriptors."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.wait_queue = WaitQueue("poll")
        self.sockets: dict[int, Socket] = {}
        self._descriptors: list[int] = []
        self._entry_bytes = machine.costs.poll_entry_memory_bytes
        # Those that became ready since they were last found not to be.
        self._candidates: set[Socket] = set()
        # Those in which room is waited for, and not data.
        self._writing: set[Socket] = set()

    def __len__(self) -> int:
        return len(self._descriptors)

    @property
    def highest(self) -> int:
        """The highest descriptor in the set."""
        return self._descriptors[-1]

    def add(self, socket: Socket) -> None:
        """Watch `socket`."""
        insort(self._descriptors, socket.descriptor)
        self.sockets[socket.descriptor] = socket
        socket.watchers.append(self)
        self.machine.memory.take("poll entries", self._entry_bytes)
        if socket.received:
            self._candidates.add(socket)

    def discard(self, socket: Socket) -> None:
        """Watch `socket` no longer."""
        del self._descriptors[bisect_left(self._descriptors, socket.descriptor)]
        del self.sockets[socket.descriptor]
        socket.watchers.remove(self)
        self.machine.memory.give_back("poll entries", self._entry_bytes)
        self._candidates.discard(socket)
        self._writing.discard(socket)

    def on_closed(self, socket: Socket) -> None:
        self.discard(socket)

    def change(self, socket: Socket, events: str) -> None:
        """Put `socket` among those to be written to (EPOLLOUT), or back (EPOLLIN)."""
        if socket.descriptor not in self.sockets:
            return  # it has been closed
        (self._writing.add if events is EPOLLOUT else self._writing.discard)(socket)
        self._candidates.add(socket)

    def on_readable(self, socket: Socket) -> None:
        if socket not in self._writing:
            self._on_ready(socket)

    def on_writable(self, socket: Socket) -> None:
        if socket in self._writing:
            self._on_ready(socket)

    def _on_ready(self, socket: Socket) -> None:
        self._candidates.add(socket)
        if self.wait_queue.sleepers:
            self.machine.wake_one(self.wait_queue)

    def ready(self) -> list[Socket]:
        """The ready sockets, in the order of their descriptors."""
        candidates, writing = self._candidates, self._writing
        if not candidates:
            return []
        stale = [
            socket
            for socket in candidates
            if not is_ready(socket, EPOLLOUT if socket in writing else EPOLLIN)
        ]
        candidates.difference_update(stale)
        return sorted(candidates, key=lambda socket: socket.descriptor)

    def before(self, socket: Socket) -> int:
        """How many descriptors a scan passes before it comes to `socket`."""
        return bisect_left(self._descriptors, socket.descriptor)


class Ring:
    """Sockets that a program asks one after the other, round and round."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine
        self.sockets: list[Socket] = []
        self._index: dict[Socket, int] = {}
        self.position = 0
        # Those that became ready since they were last found not to be, and those in which
        # room is waited for.
        self._ready: set[Socket] = set()
        self._writing: set[Socket] = set()
        # While a thread asks around: it, the asks it will make, and one ask's cost.
        self._asking: Thread | None = None
        self.asks = 0
        self._ask_ns = 0
        self._counted = 0
        machine.rings.append(self)

    def add(self, socket: Socket) -> None:
        """Ask `socket` too, last in the round."""
        self._index[socket] = len(self.sockets)
        self.sockets.append(socket)
        socket.watchers.append(self)
        if socket.received:
            self._ready.add(socket)

    def change(self, socket: Socket, events: str) -> None:
        """Ask whether `socket` takes more (EPOLLOUT), or has something to read (EPOLLIN)."""
        if socket not in self._index:
            return  # it has been closed
        (self._writing.add if events is EPOLLOUT else self._writing.discard)(socket)
        self._ready.add(socket)

    def discard(self, socket: Socket) -> None:
        """Ask `socket` no longer."""
        index = self._index[socket]
        del self.sockets[index]
        self._index = {other: i for i, other in enumerate(self.sockets)}
        if index < self.position:
            self.position -= 1
        socket.watchers.remove(self)
        self._ready.discard(socket)
        self._writing.discard(socket)

    def fruitless(self) -> int | None:
        """Asks in vain before one that will be answered; None: no socket is ready."""
        ready = self._ready
        ready.difference_update([socket for socket in ready if not self.is_ready(socket)])
        if not ready:
            return None
        count, position = len(self.sockets), self.position
        return min((self._index[socket] - position) % count for socket in ready)

    def is_ready(self, socket: Socket) -> bool:
        """Whether `socket` would not answer EAGAIN."""
        return is_ready(socket, EPOLLOUT if socket in self._writing else EPOLLIN)

    def begin(self, thread: Thread, asks: int, ask_ns: int) -> None:
        """`thread` sets out to ask `asks` times in vain."""
        self._asking, self.asks, self._ask_ns = thread, asks, ask_ns
        self._counted = 0

    def _begun(self) -> int:
        """How many of the asks have been begun by now."""
        thread = self._asking
        assert thread is not None
        left_ns = min(thread.core.remaining_ns(thread), thread.segments[-1][1])
        return self.asks - left_ns // self._ask_ns

    def tally(self) -> None:
        """Count the asks in vain that have been made."""
        if self._asking is not None:
            self._count(self._begun())

    def _count(self, asks: int) -> None:
        self.machine.syscalls["recvfrom"] += asks - self._counted
        self.machine.wasted_polls += asks - self._counted
        self._counted = asks

    def end(self) -> None:
        """It has asked them."""
        self._asking = None
        self._count(self.asks)
        self.position = (self.position + self.asks) % len(self.sockets)

    def on_closed(self, socket: Socket) -> None:
        self.discard(socket)

    def on_readable(self, socket: Socket) -> None:
        if socket not in self._writing:
            self._on_ready(socket)

    def on_writable(self, socket: Socket) -> None:
        if socket in self._writing:
            self._on_ready(socket)

    def _on_ready(self, socket: Socket) -> None:
        self._ready.add(socket)
        thread = self._asking
        if thread is None:
            return
        begun = self._begun()
        count = len(self.sockets)
        asks = (self._index[socket] - self.position) % count
        if asks < begun:  # passed already in this round, or in many rounds
            asks += -(-(begun - asks) // count) * count
        if asks < self.asks:
            thread.core.trim(thread, (self.asks - asks) * self._ask_ns)
            self.asks = asks


class ReadinessCalls(Calls):
    """select, poll, the epoll family, and polling in user space."""

    __slots__ = ()

    # ------------------------------------------------------------------------- epoll

    def epoll_create1(self) -> Generator[Any, Any, Epoll]:
        """A new epoll instance."""
        self.syscalls["epoll_create1"] += 1
        costs = self.costs
        self.thread.charge(ENTRY, costs.syscall_ns + costs.epoll_create1_ns, "epoll_create1")
        return (Epoll if self.machine.trace is None else WatchedEpoll)(self.machine)
        yield

    def epoll_ctl_add(
        self,
        epoll: Epoll,
        socket: Socket,
        edge: bool = False,
        oneshot: bool = False,
        exclusive: bool = False,
        events: str = EPOLLIN,
    ) -> Generator[Any, Any, None]:
        """Watch `socket`: with EPOLLET, EPOLLONESHOT, EPOLLEXCLUSIVE if asked for."""
        self.syscalls["epoll_ctl"] += 1
        costs, thread = self.costs, self.thread
        thread.charge(ENTRY, costs.syscall_ns + costs.epoll_ctl_add_ns, "epoll_ctl")
        yield from self._watch(epoll, socket, edge, oneshot, exclusive, events)

    def _watch(
        self,
        epoll: Epoll,
        socket: Socket,
        edge: bool = False,
        oneshot: bool = False,
        exclusive: bool = False,
        events: str = EPOLLIN,
    ) -> Generator[Any, Any, None]:
        costs, thread = self.costs, self.thread
        if thread.debt_ns and not self.undisturbed():
            yield RUN
        item = (ExclusiveItem if exclusive else Item)(epoll, socket, edge, oneshot)
        item.events = events
        epoll.interest[socket] = item
        item.join()
        self.machine.memory.take("epoll items", costs.epoll_item_memory_bytes)
        if item.ready:
            # Who is woken by that must not be so before this call is worked off.
            if thread.debt_ns and epoll.wait_queue.sleepers:
                yield RUN
            (item.on_readable if events is EPOLLIN else item.on_writable)(socket)

    def epoll_ctl_mod(self, epoll: Epoll, socket: Socket, events: str) -> Generator[Any, Any, None]:
        """Wait for `EPOLLIN`, `EPOLLOUT` or `NOTHING` in `socket` from now on.

        Of a socket that another thread has closed meanwhile nothing is to be waited for (ENOENT).
        """
        self.syscalls["epoll_ctl"] += 1
        costs = self.costs
        self.thread.charge(ENTRY, costs.syscall_ns + costs.epoll_ctl_mod_ns, "epoll_ctl")
        yield from self._watch_for(epoll, socket, events)

    def _watch_for(self, epoll: Epoll, socket: Socket, events: str) -> Generator[Any, Any, None]:
        if self.thread.debt_ns and not self.undisturbed():
            yield RUN
        item = epoll.interest.get(socket)
        if item is None:
            return
        item.events = events
        if item.ready and not item.listed:
            item.listed = True
            epoll.ready.append(item)
            yield from self._wake_waiter(epoll, "epoll_ctl")

    def _wake_waiter(self, epoll: Epoll, label: str) -> Generator[Any, Any, None]:
        """Wake the thread that came last to `epoll`, if one waits there."""
        if self.thread.debt_ns and epoll.wait_queue.sleepers:
            yield RUN
        sleepers = epoll.wait_queue.sleepers
        if sleepers:
            self.wake(epoll.wait_queue, label, sleepers[-1])
            yield from self.return_to_user()

    def epoll_ctl_del(self, epoll: Epoll, socket: Socket) -> Generator[Any, Any, None]:
        """Watch `socket` no longer; one that is not watched is looked for in vain (ENOENT)."""
        self.syscalls["epoll_ctl"] += 1
        costs = self.costs
        if socket in epoll.interest:
            self.thread.charge(ENTRY, costs.syscall_ns + costs.epoll_ctl_del_ns, "epoll_ctl")
            epoll.forget(socket)
        else:
            self.thread.charge(ENTRY, costs.syscall_ns, "epoll_ctl")
        return
        yield

    def epoll_wait(
        self, epoll: Epoll, max_events: int, timeout_ns: int | None = None
    ) -> Generator[Any, Any, list[Socket]]:
        """Sockets that are readable; sleep until there is one, or `timeout_ns` are over."""
        thread, machine = self.thread, self.machine
        self.syscalls["epoll_wait"] += 1
        thread.charge(ENTRY, self.costs.epoll_wait_whole_ns, "epoll_wait")
        if thread.debt_ns and not (epoll.ready and self.undisturbed()):
            yield RUN
        events: list[Socket] = []
        woken = False
        while True:
            if epoll.ready:
                events = self._take_ready(epoll, max_events)
                if events:
                    break
            if timeout_ns == 0:
                if not thread.debt_ns:
                    yield RUN  # even where nothing costs anything the core sees it
                break
            if thread.debt_ns:
                yield RUN
                if epoll.ready:
                    continue
            if woken:
                machine.spurious_wakeups += 1
            value = yield from self.sleep_on(epoll.wait_queue, timeout_ns)
            if value is INTERRUPTED or (value is TIMED_OUT and not epoll.ready):
                break
            woken = value is not TIMED_OUT
        if woken:
            self.woken_for = events
        if epoll.wait_queue.sleepers and epoll.ready:
            yield from self._wake_waiter(epoll, "epoll_wait")
        machine.waits += 1
        machine.wait_events += len(events)
        return events

    def _take_ready(self, epoll: Epoll, max_events: int) -> list[Socket]:
        """Look through the ready list, as far as there is room for events. Plain call."""
        ready, epoll.ready = epoll.ready, []
        events: list[Socket] = []
        put_back = epoll.ready
        ahead_ns = self.thread.debt_ns
        looked_at = len(ready)
        for item in ready:
            socket = item.socket
            if not (
                socket.received
                if item.events is EPOLLIN
                else is_ready(socket, item.events, ahead_ns)
            ):
                item.listed = False
                continue
            events.append(socket)
            if item.edge:
                item.listed = False
                if item.oneshot:
                    item.events = NOTHING
            else:  # level-triggered: it will be looked at again
                put_back.append(item)
            if len(events) == max_events:
                # No more room: the rest stays, before what has just been put back.
                looked_at = ready.index(item) + 1
                put_back[:0] = ready[looked_at:]
                break
        ns = looked_at * self.costs.epoll_wait_per_event_ns
        if ns:  # as `charge`, written out
            thread = self.thread
            thread.segments.append((SYSCALL, ns, "epoll_wait"))
            thread.debt_ns += ns
            thread.core.cpu_ns[SYSCALL] += ns
        return events

    # ------------------------------------------------------------------ select and poll

    def select(
        self, descriptors: DescriptorSet, timeout_ns: int | None = None
    ) -> Generator[Any, Any, list[Socket]]:
        """As `poll`, for descriptors below FD_SETSIZE; raises DescriptorLimit."""
        if descriptors.highest >= FD_SETSIZE:
            raise DescriptorLimit(
                self.machine.model, self.env._now, "select", descriptors.highest, FD_SETSIZE
            )
        return (yield from self._scan_and_wait("select", descriptors, timeout_ns))

    def poll(
        self, descriptors: DescriptorSet, timeout_ns: int | None = None
    ) -> Generator[Any, Any, list[Socket]]:
        """Readable sockets by descriptor; sleep until there is one or the time is over."""
        return (yield from self._scan_and_wait("poll", descriptors, timeout_ns))

    def _scan_and_wait(
        self, name: str, descriptors: DescriptorSet, timeout_ns: int | None
    ) -> Generator[Any, Any, list[Socket]]:
        thread, costs, machine = self.thread, self.costs, self.machine
        self.syscalls[name] += 1
        count = len(descriptors)
        scan_ns = costs.descriptor_scan(count)
        ready = descriptors.ready()
        joined = 0
        if timeout_ns != 0:
            joined = descriptors.before(ready[0]) if ready else count
        register_ns = joined * costs.poll_register_ns
        join_ns = register_ns // 2
        thread.charge(ENTRY, costs.syscall_ns + costs.poll_ns + scan_ns + join_ns, name)
        if thread.debt_ns and not (ready and self.undisturbed()):
            yield RUN
        ready = descriptors.ready()
        while not ready and timeout_ns != 0:
            value = yield from self.sleep_on(descriptors.wait_queue, timeout_ns)
            thread.charge(SYSCALL, scan_ns, name)
            if thread.debt_ns:
                yield RUN
            ready = descriptors.ready()
            if value is TIMED_OUT or value is INTERRUPTED:
                break
            if not ready:
                machine.spurious_wakeups += 1
        # It leaves the wait queues when it has its answer: who is answered waits for that, too.
        thread.charge(SYSCALL, register_ns - join_ns, name)
        thread.charge(USER, count * costs.poll_answer_ns, "scan the answer")
        machine.waits += 1
        machine.wait_events += len(ready)
        return ready

    # ------------------------------------------------------------- polling in user space

    def ask_each(self, ring: Ring, rounds: int | None) -> Generator[Any, Any, Socket | None]:
        """Ask each socket in turn until one would not answer EAGAIN; return it.

        None after so many `rounds` in vain. Stands for
        `while recvfrom(next(sockets)) is EAGAIN: pass`.
        """
        thread = self.thread
        ask_ns = max(1, self.ask_ns())  # even where costs are zero, time must pass
        if thread.debt_ns:  # asking begins here, at an instant of the clock
            yield RUN
        count = len(ring.sockets)
        limit = rounds * count if rounds is not None else 2 * FAR_NS // ask_ns
        in_vain = ring.fruitless()
        asks = limit if in_vain is None else min(in_vain, limit)
        if asks:
            if thread.debt_ns:
                yield RUN
            ring.begin(thread, asks, ask_ns)
            thread.charge(SPIN, asks * ask_ns, "EAGAIN")
            yield RUN
            ring.end()
        socket = ring.sockets[ring.position]
        if not ring.is_ready(socket):
            return None
        ring.position = (ring.position + 1) % count
        return socket

    def ask_ns(self) -> int:
        """What one ask in vain costs."""
        return self.costs.syscall_ns + self.costs.recvfrom_eagain_ns
