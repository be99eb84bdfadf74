"""Probes of io_uring, in C; and of what a program in CPython does for an SQE and a CQE.

Through a binding one measures the binding: these use that of the real server, iosim.real.servers.

Validated by: tests/calibration/test_probes.py
"""

import ctypes
import socket
from time import perf_counter_ns

from iosim.calibration.probes.needs import IO_URING, LIBURING
from iosim.calibration.probes.registry import Impossible, Place, Series, native, probe
from iosim.calibration.probes.sockets import connected
from iosim.real.kernel import Refused
from iosim.real.servers.io_uring import PREP, RECV, Sqe, Uring

for _number, _mode in enumerate(("default", "defer")):
    native(
        __name__, "nops", f"io_uring_nop_per_op|batch={{0}};{_mode}",
        arguments=[(_batch, _number) for _batch in (1, 8, 32, 128)], needs=[IO_URING],
    )  # fmt: skip
    native(
        __name__, "send_and_receive", f"io_uring_tcp_send+recv|{_mode}",
        arguments=[(_number,)], needs=[IO_URING],
    )  # fmt: skip
    native(
        __name__, "armed_receive", f"io_uring_armed_recv+plain_send|{_mode}",
        arguments=[(_number,)], needs=[IO_URING],
    )  # fmt: skip

_BATCH = 32
_MESSAGE_BYTES = 144


def _ring() -> Uring:
    try:
        return Uring(_BATCH, None)
    except Refused as refused:
        raise Impossible(str(refused)) from None


def _fill(ring: Uring, ends: list[socket.socket]) -> None:
    """An SQE for each, to receive a message, as the real server makes and fills it."""
    for end in ends:
        sqe = Sqe(RECV, None)
        sqe.memory = (ctypes.c_char * _MESSAGE_BYTES)()
        if not ring.full:
            given = (end.fileno(), ctypes.addressof(sqe.memory), _MESSAGE_BYTES, 0)
            ring.fill(sqe, PREP.recv, given, 0)


@probe("io_uring_sqe|recv", "io_uring_recv|batch=32", samples=40, needs=[IO_URING, LIBURING])
def receive_by_liburing(place: Place) -> Series:
    """An SQE, to receive a message by TCP; and 32 of them made, submitted, where the messages are
    there, and their CQEs taken, all in all."""
    ring = _ring()
    pairs = [connected() for _ in range(_BATCH)]
    ends = [end for end, _ in pairs]
    filling, receiving = [], []
    for _ in range(place.samples + 1):
        for _, peer in pairs:
            peer.send(bytes(_MESSAGE_BYTES))
        begun_ns = perf_counter_ns()
        _fill(ring, ends)
        filled_ns = perf_counter_ns()
        found = ring.submit_and_wait(_BATCH)
        taken_ns = perf_counter_ns()
        if len(found) != _BATCH or any(result != _MESSAGE_BYTES for _, result, _ in found):
            raise Impossible("it did not receive what had been sent")
        filling.append((filled_ns - begun_ns) / _BATCH)
        receiving.append(float(taken_ns - begun_ns))
    return [filling[1:], receiving[1:]]  # the first fills caches
