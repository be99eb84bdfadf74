"""A thread that asks select, poll or epoll_wait again and again, one descriptor ready.

The laboratory of Kerrisk's measurement: N descriptors are watched, one of them, drawn at
random, becomes ready before each call; the call is timed. Nothing else runs.
"""

from collections.abc import Callable, Generator
from random import Random
from typing import Any

from iosim.machine.clock import Clock
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.machine.readiness import DescriptorSet
from iosim.machine.sockets import Socket
from iosim.machine.thread import Program
from iosim.profile import load
from iosim.schedulers import fifo

REFERENCE = load("reference").costs

Wait = Callable[[], Generator[Any, Any, list[Socket]]]


def call_ns(call: str, descriptors: int, calls: int = 200) -> float:
    """Mean CPU time of one `call` that watches so many descriptors, the answer's use included.

    Raises DescriptorLimit where the call cannot watch them.
    """
    machine = Machine(
        Clock(),
        1,
        lambda: fifo.Queue(fifo.Options()),
        REFERENCE,
        lambda thread, machine, native: Kernel(thread, machine),
        descriptor_limit=descriptors + 10,
    )
    spent_ns: list[int] = []
    machine.spawn("caller", lambda kernel: _calls(kernel, call, descriptors, calls, spent_ns))
    machine.env.run()
    assert len(spent_ns) == calls
    return sum(spent_ns) / calls


def _calls(kernel: Kernel, call: str, descriptors: int, calls: int, spent_ns: list[int]) -> Program:
    sockets = [Socket(f"socket {number}", None) for number in range(descriptors)]
    for socket in sockets:
        kernel.machine.open_descriptor(socket)
    wait = yield from _watch(kernel, call, sockets)
    random = Random(1)
    for _ in range(calls):
        ready = random.choice(sockets)
        kernel.machine.arrive(ready, True)
        yield from kernel.settle()
        begun_ns = kernel.now_ns
        answer = yield from wait()
        yield from kernel.settle()
        spent_ns.append(kernel.now_ns - begun_ns)
        assert answer == [ready]
        ready.received.clear()


def _watch(kernel: Kernel, call: str, sockets: list[Socket]) -> Generator[Any, Any, Wait]:
    if call == "epoll_wait":
        epoll = yield from kernel.epoll_create1()
        for socket in sockets:
            yield from kernel.epoll_ctl_add(epoll, socket)
        return lambda: kernel.epoll_wait(epoll, max_events=100)
    watched = DescriptorSet(kernel.machine)
    for socket in sockets:
        watched.add(socket)
    if call == "select":
        return lambda: kernel.select(watched)
    return lambda: kernel.poll(watched)
