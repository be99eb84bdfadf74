"""The host below a virtual core: other guests take the core away, its sibling slows it down.

What it models: two recurring actors, one of each for every core that has them.

- `Thief`: the host runs someone else on the core now and then. The thread and the
  interrupts under way go on afterwards; a core that is idle meanwhile notices nothing,
  unless it is woken before the host gives it back.

      thief  |--- gap ---|- stolen -|------ gap ------|-stolen-|
      thread |~~~~~~~~~~~|          |~~~~~~~~~~~~~~~~~|        |~~~~

- `Sibling`: the other hyper-thread of the core is busy for a spell, idle for a spell.
  While it is busy each ns of work takes `slowdown` ns. What is left of a burst is
  stretched when the sibling gets busy, and shrunk when it falls idle.

Scope: stolen time has a cause of its own; a stretched burst keeps its causes, so that a
request costs more CPU time beside a busy sibling. A thread is not told of stolen time:
its scheduler does not count it, as Linux does with paravirtual steal clocks.
Not modelled: the way out of idle is not slowed, nor is asking in vain (`Ring`); a sibling
that turns during an interrupt or a theft takes effect after it; cores are robbed
independently, and what runs on one never depends on the load here. Wake-up placement
does not see who is robbed.
Source: Linux Documentation/virt/kvm, steal time; accounting in kernel/sched/cputime.c.
Validated by: tests/timeline/test_host.py, tests/theory/test_host_noise.py
"""

from collections.abc import Iterator

from iosim.machine.alarm import Alarm
from iosim.machine.core import Core


class Thief:
    """Takes the core away again and again."""

    def __init__(self, core: Core, times_ns: Iterator[tuple[int, int]]) -> None:
        """`times_ns`: each theft's (gap before it, length)."""
        self._core = core
        self._times_ns = times_ns
        self._alarm = Alarm(core.machine.env, self._steal)
        core.machine.background_alarms += 1
        self._set(0)

    def _set(self, from_ns: int) -> None:
        gap_ns, self._length_ns = next(self._times_ns)
        # Of gaps and lengths that are all zero there would be no end.
        self._alarm.set(from_ns + max(1, gap_ns))

    def _steal(self) -> None:
        if self._length_ns:
            self._core.steal(self._length_ns)
        self._set(self._core.machine.env._now + self._length_ns)


class Sibling:
    """Is busy and idle in turn, and the core works more slowly while it is busy."""

    def __init__(self, core: Core, slowdown: float, spells_ns: Iterator[int], busy: bool) -> None:
        """`spells_ns`: how long it stays as it is, which at first is `busy`."""
        self._core = core
        self._paces = (1.0, slowdown)
        self._spells_ns = spells_ns
        self._busy = not busy
        self._alarm = Alarm(core.machine.env, self._turn)
        core.machine.background_alarms += 1
        self._turn()

    def _turn(self) -> None:
        core = self._core
        now = core.machine.env._now
        if core.held_until_ns > now:
            self._alarm.set(core.held_until_ns)
            return
        self._busy = not self._busy
        core.change_pace(self._paces[self._busy])
        self._alarm.set(now + max(1, next(self._spells_ns)))
