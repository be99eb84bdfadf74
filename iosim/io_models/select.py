"""I/O multiplexing with select(2): as poll, for descriptors below FD_SETSIZE.

    select (asleep) -> look at every bit -> for each ready: recvfrom, handle, sendto -> select ...

The program is poll's; the call takes bit sets of a fixed size, so that a descriptor of
1,024 or more cannot be watched at all.

Source: select(2); Stevens, UNIX Network Programming vol. 1, 6.3.
Validated by: tests/conformance, tests/shape/test_r1_descriptors.py
"""

from iosim.choice import Options as BaseOptions
from iosim.handler import Server
from iosim.io_models.poll import multiplex
from iosim.machine.kernel import Kernel
from iosim.machine.thread import Program


class Options(BaseOptions):
    """I/O multiplexing: one thread in select; at most 1,024 descriptors."""


def main(kernel: Kernel, server: Server, options: Options) -> Program:
    """The event loop around select."""
    return multiplex(kernel, server, kernel.select)
