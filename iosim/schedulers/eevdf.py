"""Earliest eligible virtual deadline first: Linux's scheduler since 6.6.

What it models: each thread has a virtual runtime v and a virtual deadline, v plus one
slice. V is the mean of all v. A thread is eligible while v <= V: it has not run more
than its share. The eligible thread with the earliest deadline runs.

- A running thread is protected until its deadline while it stays eligible; a thread
  that wakes preempts it only when it is not.
- A thread that sleeps takes its lag, V - v, along and is placed at V - lag when it
  wakes. With a negative lag it stays in the competition, asleep (delayed dequeue),
  until it is picked, and leaves with what lag it then has.
- That a deadline has passed is noticed at the timer tick, or when another thread wakes.

So a thread that wakes takes the core only if it had run less than its neighbours.

Not modelled: weights (nice), groups, bandwidth control, the buddy features, sched_ext;
slices that differ from thread to thread.
Source: Linux 6.18 kernel/sched/fair.c: place_entity, pick_eevdf, update_deadline,
dequeue_entity, requeue_delayed_entity, check_preempt_wakeup_fair; Stoica and
Abdel-Wahab, "Earliest Eligible Virtual Deadline First", TR-95-22, 1995.
Validated by: tests/timeline/test_eevdf.py, tests/theory/test_scheduling.py
"""

from heapq import heappop, heappush

from pydantic import Field

from iosim.choice import Options as BaseOptions
from iosim.machine.thread import Thread
from iosim.units import Duration, PositiveDuration

IS_HERE = True
"""This machine has it: real servers run under it."""


class Options(BaseOptions):
    """Linux's default: virtual deadlines, stored lag, delayed dequeue."""

    slice: PositiveDuration = Field(
        default="1.4ms",
        validate_default=True,
        description="The base slice: 0.7 ms x (1 + log2 cores), as /proc/self/sched says on two "
        "cores.",
    )
    tick: Duration = Field(
        default="4ms",
        validate_default=True,
        description="Timer tick at which an expired deadline is noticed (HZ=250); 0s: at once.",
    )


class Entity:
    """What the scheduler knows of one thread."""

    __slots__ = ("deadline", "delayed", "lag", "stamp", "thread", "v")

    def __init__(self) -> None:
        self.v = 0
        self.deadline = 0
        self.lag = 0
        self.delayed = False
        self.thread: Thread | None = None
        # Counts its moves: of its places in heaps, the one with this stamp is valid.
        self.stamp = 0


Place = tuple[int, int, int, Entity]
"""(v or deadline, order of entry, the entity's stamp then, entity): an item of a heap."""


class Queue:
    """The run queue of one core. `total` and `count` include the running thread."""

    __slots__ = (
        "_count",
        "_eligible",
        "_future",
        "_lag_limit",
        "_overdue",
        "_pushes",
        "_slice_ns",
        "_tick_ns",
        "_total",
        "rivals",
        "waiting",
    )

    def __init__(self, options: Options) -> None:
        self._slice_ns = options.slice
        self._tick_ns = options.tick
        self._lag_limit = max(2 * options.slice, options.tick)
        self._total = 0
        self._count = 0
        self._pushes = 0
        # The running thread used up its slice; to be acted on at the next occasion.
        self._overdue = False
        self.waiting = 0
        self.rivals = 0
        # Waiting entities by deadline, and those not yet found eligible by v. An entry
        # is valid while its stamp is its entity's.
        self._eligible: list[Place] = []
        self._future: list[Place] = []

    # ------------------------------------------------------------------ the competition

    def entity(self) -> Entity:
        return Entity()

    def _place(self, entity: Entity, initial: bool = False) -> None:
        """Let `entity` join at the lag it left with; V stays where it is."""
        count = self._count
        v = entity.v
        if count:
            # Joining moves V by lag/(count + 1); scale so that its lag comes out right.
            v = self._total // count - entity.lag * (count + 1) // count
        entity.v = v
        entity.deadline = v + (self._slice_ns // 2 if initial else self._slice_ns)
        entity.lag = 0
        self._total += v
        self._count = count + 1
        self.rivals = count

    def _leave(self, entity: Entity) -> None:
        lag = self._total // self._count - entity.v
        limit = self._lag_limit
        entity.lag = max(-limit, min(limit, lag))
        self._total -= entity.v
        self._count -= 1
        self.rivals = self._count - 1

    def _push(self, entity: Entity) -> None:
        self._pushes += 1
        entity.stamp += 1
        heappush(self._future, (entity.v, self._pushes, entity.stamp, entity))

    # ------------------------------------------------------------------------- RunQueue

    def enqueue(self, thread: Thread, current: Thread | None) -> None:
        entity: Entity = thread.entity
        self.waiting += 1
        if entity.delayed:
            entity.delayed = False
            lag = self._total // self._count - entity.v
            if lag <= 0:
                return  # still in the heaps, where it was
            # It has been forgiven what it owed, and gains nothing from having slept.
            self._total -= entity.v
            self._count -= 1
            entity.lag = 0
            self._place(entity)
        else:
            initial = entity.thread is None
            entity.thread = thread
            self._place(entity, initial)
        self._push(entity)

    def preempts(self, thread: Thread, current: Thread) -> bool:
        running: Entity = current.entity
        if self._overdue:
            return True
        total, count = self._total, self._count
        if running.v * count <= total:
            return False  # eligible and before its deadline: protected
        entity: Entity = thread.entity
        return entity.v * count <= total and self._first() is entity

    def _first(self) -> Entity | None:
        """The eligible waiting entity with the earliest deadline, asleep or not."""
        eligible, future = self._eligible, self._future
        total, count = self._total, self._count
        while future and future[0][0] * count <= total:
            _, order, stamp, entity = heappop(future)
            if entity.stamp == stamp:
                heappush(eligible, (entity.deadline, order, stamp, entity))
        while eligible:
            _, order, stamp, entity = eligible[0]
            if entity.stamp == stamp:
                if entity.v * count <= total:
                    return entity
                heappush(future, (entity.v, order, stamp, entity))
            heappop(eligible)
        return None

    def pick(self) -> Thread | None:
        self._overdue = False
        if not self.waiting:
            if self._count:
                self._forget_sleepers()
            return None
        while True:
            # V is a mean, so the least v is eligible, whatever rounding does.
            entity = self._first()
            assert entity is not None
            entity.stamp += 1
            heappop(self._eligible)
            if not entity.delayed:
                self.waiting -= 1
                return entity.thread
            self._dequeue_delayed(entity)

    def _dequeue_delayed(self, entity: Entity) -> None:
        entity.delayed = False
        self._leave(entity)
        if entity.lag > 0:
            entity.lag = 0

    def _forget_sleepers(self) -> None:
        """Nothing runs and nothing waits: dequeue in turn all who sleep in the queue."""
        while (entity := self._first()) is not None:
            entity.stamp += 1
            heappop(self._eligible)
            self._dequeue_delayed(entity)

    def put_back(self, thread: Thread) -> None:
        entity: Entity = thread.entity
        self.waiting += 1
        self._push(entity)

    def remove_current(self, thread: Thread) -> None:
        entity: Entity = thread.entity
        if entity.v * self._count > self._total:
            entity.delayed = True
            self._push(entity)
        else:
            self._leave(entity)

    def ran(self, thread: Thread, ns: int) -> None:
        entity: Entity = thread.entity
        entity.v = v = entity.v + ns
        self._total += ns
        if v >= entity.deadline:
            entity.deadline = v + self._slice_ns
            self._overdue = self._count > 1

    def slice_end_ns(self, thread: Thread, now: int) -> int:
        entity: Entity = thread.entity
        at_ns = now if self._overdue else now + entity.deadline - entity.v
        tick_ns = self._tick_ns
        return -(-at_ns // tick_ns) * tick_ns if tick_ns else at_ns

    def holds(self, thread: Thread) -> bool:
        delayed: bool = thread.entity.delayed
        return delayed

    def steal(self) -> Thread:
        entity = next(
            entity
            for heap in (self._future, self._eligible)
            for _, _, stamp, entity in reversed(heap)
            if entity.stamp == stamp and not entity.delayed
        )
        entity.stamp += 1
        self.waiting -= 1
        self._leave(entity)
        assert entity.thread is not None
        return entity.thread

    def adopt(self, thread: Thread) -> None:
        self._place(thread.entity)
