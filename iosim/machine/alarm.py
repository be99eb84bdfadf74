"""A SimPy event that its owner sets again and again.

What it models: the next instant at which a recurring actor (a core, a timer, a traffic
source, a device) has something to do. Such an actor would otherwise create an event
per action; one event that is re-armed costs a third as much, and stays an ordinary
member of SimPy's heap, so that ordinary SimPy processes mix in freely.

Scope: moving the instant later costs nothing until the old one passes (the event finds
itself early and goes back into the heap); moving it earlier adds one heap entry, and
the one left behind is recognised when it surfaces. An alarm that is set again while it
acts, with nothing else due before, acts again at once, the clock set forward.

A *quiet* alarm lets what comes from outside arrive, and touches a core only by waking
a thread. Where there is only one, and that is busy, it may act ahead of the clock, in
its turn (`act_ahead`).

Not modelled: an alarm never succeeds or fails as other SimPy events do, and cannot be
waited for.

Validated by: tests/unit/test_alarm.py
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from simpy.events import NORMAL, Event

from iosim.machine.clock import Clock

NEVER = 2**63 - 1
"""A time after every run's end, in ns."""

FAR_NS = 10**15
"""No run lasts so long (eleven days): what is due later is not even put in the heap."""

ACTING_NS = -1
"""Before every instant: an alarm that is acting is put in the heap when it has acted."""


class Alarm(Event):
    """Calls `action` at the instant it is set to; may be moved and set again at will."""

    __slots__ = ("_action", "_heap", "_ids", "_ring", "_scheduled_ns", "due_ns", "quiet")

    def __init__(self, env: Clock, action: Callable[[], None], quiet: bool = False) -> None:
        self.env: Clock = env
        self._ok = True
        self._value = None
        self._action = action
        self.quiet = quiet
        self._ring: list[Callable[[Any], None]] = [self._surface]
        self.callbacks = self._ring
        self._scheduled_ns = FAR_NS
        self.due_ns = NEVER
        # What Environment.schedule uses; pushed to directly, it takes half the time.
        self._heap = env._queue
        self._ids = env._eid

    def set(self, due_ns: int) -> None:
        """Act at `due_ns` (not before now) instead of whenever it was set to before.

        The action itself may as well assign `due_ns`.
        """
        self.due_ns = due_ns
        if due_ns < self._scheduled_ns:
            self._scheduled_ns = due_ns
            heappush(self._heap, (due_ns, NORMAL, next(self._ids), self))

    def cancel(self) -> None:
        """Do not act until set again."""
        self.due_ns = NEVER

    def _surface(self, _: Event) -> None:
        # SimPy takes an event's callbacks away when it pops the event; to give them back
        # is what lets one event surface any number of times.
        self.callbacks = self._ring
        env = self.env
        now = env._now
        if now != self._scheduled_ns:
            return  # left behind when it was moved to be earlier
        heap, action = self._heap, self._action
        self._scheduled_ns = ACTING_NS
        due_ns = self.due_ns
        while True:
            if due_ns == now:
                self.due_ns = NEVER
                action()
                due_ns = self.due_ns
            if due_ns >= FAR_NS:
                self._scheduled_ns = FAR_NS
                return
            if heap and heap[0][0] <= due_ns:
                self._scheduled_ns = due_ns
                heappush(heap, (due_ns, NORMAL, next(self._ids), self))
                return
            # Nothing comes before: to be put in the heap and taken out first thing would
            # only set the clock. So does this.
            env._now = now = due_ns


def act_ahead(env: Clock, until_ns: int) -> bool:
    """Let quiet alarms due by `until_ns` act, each at its instant; whether no other is due.

    Something must be in the heap. What is due after one that is not quiet does not act, so
    the order is what it would have been. The clock shows each its instant, and in the end
    what it shows now.
    """
    heap: Any = env._queue
    ids, now = env._eid, env._now
    # Of what is due at `until_ns` itself, what is put in the heap from now on comes later: its
    # numbers begin with this one.
    place = 0
    only_quiet = True
    while heap and (not place or heap[0] < (until_ns, NORMAL, place)):
        at_ns, _, _, alarm = heap[0]
        if type(alarm) is not Alarm or not alarm.quiet:
            only_quiet = False
            break
        heappop(heap)
        if at_ns != alarm._scheduled_ns:  # left behind when it was moved to be earlier
            if heap and heap[0][0] > until_ns:
                break
            continue
        alarm._scheduled_ns = ACTING_NS
        action = alarm._action
        place = place or next(ids)
        while True:
            env._now = at_ns
            if alarm.due_ns == at_ns:
                alarm.due_ns = NEVER
                action()
            due_ns = alarm.due_ns
            if due_ns >= until_ns or (heap and heap[0][0] <= due_ns):
                break
            at_ns = due_ns
        if due_ns < FAR_NS:
            alarm._scheduled_ns = due_ns
            # Numbered when it has acted, as one is that surfaces by itself.
            heappush(heap, (due_ns, NORMAL, next(ids), alarm))
        else:
            alarm._scheduled_ns = FAR_NS
    env._now = now
    return only_quiet
