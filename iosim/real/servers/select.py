"""I/O multiplexing with select(2): as poll, for descriptors below FD_SETSIZE.

Twin of: iosim/io_models/select.py
Validated by: tests/real/test_servers.py, tests/real/test_twins.py
"""

from dataclasses import dataclass

from iosim.real.handler import Server
from iosim.real.kernel import Kernel
from iosim.real.servers.poll import multiplex


@dataclass(frozen=True)
class Options:
    """I/O multiplexing: one thread in select; at most 1,024 descriptors."""


def main(kernel: Kernel, server: Server, options: Options) -> None:
    """The event loop around select."""
    multiplex(kernel, server, kernel.select)
