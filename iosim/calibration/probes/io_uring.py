"""Probes of io_uring, in C only: no binding measures it rather than itself.

Validated by: tests/calibration/test_probes.py
"""

from iosim.calibration.probes.needs import IO_URING
from iosim.calibration.probes.registry import native

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
