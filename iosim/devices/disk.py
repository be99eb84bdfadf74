"""A disk behind a file: reads through the page cache, writes, fsync.

    hit:    pread64 [copy]
    miss:   pread64 [submit] zzz queue zzz service + transfer zzz [interrupt] [wake-up] [copy]
    write:  pwrite64 [copy]         and with fsync: true
            fsync    [submit] zzz queue zzz service + transfer + flush zzz [interrupt] [wake-up]

What it models: a block device that serves `queue_depth` accesses at once, in order of
arrival, each for a time drawn from `latency` and the transfer of `size` at `bandwidth`. A
read that the page cache can answer costs a copy. A write only fills the page cache;
`fsync` waits for the device and its flush. A regular file is always ready, so nobody can
wait for it with others: an event loop stops for as long as the access takes.

Not modelled: readahead, accesses that are adjacent, reads beside writes on one device,
dirty pages written back without fsync, a flush that serves several writes; which pages
are cached (hits are drawn, not remembered); CPU time of the device driver beyond submit
and interrupt.
Source: pread(2), fsync(2); Linux 6.18 Documentation/block/blk-mq.rst.
Validated by: tests/timeline/test_files.py, tests/theory/test_disk.py,
tests/shape/test_r7_pool_hop.py, tests/shape/test_r8_pool_starvation.py
"""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from iosim.choice import Options as BaseOptions
from iosim.devices import Network, Station, Usage
from iosim.distributions import Distribution
from iosim.errors import Mismatch
from iosim.handler import Query, Server
from iosim.machine.files import File
from iosim.machine.kernel import Kernel
from iosim.machine.machine import Machine
from iosim.streams import Streams, block_iterator
from iosim.units import Bandwidth, Fraction, PositiveCount, PositiveSize

if TYPE_CHECKING:
    from typing import Self

    import numpy as np

ROLE = "backend"


class Options(BaseOptions):
    """A file on a block device, behind the page cache; calls to it block."""

    latency: Distribution = Field(description="An access at the device, without the transfer.")
    access: Literal["read", "write"] = Field(default="read", description="What a call does.")
    size: PositiveSize = Field(
        default="4KiB", validate_default=True, description="Of one read or write."
    )
    bandwidth: Bandwidth | None = Field(
        default=None, description="How fast the device transfers; none: at once."
    )
    queue_depth: PositiveCount = Field(
        default=32, description="Accesses in service at once; more wait for the device."
    )
    page_cache_hit: Fraction = Field(
        default="0%", validate_default=True, description="Reads that need no device."
    )
    fsync: bool = Field(
        default=False, description="Each write waits until it is on the device and flushed."
    )
    flush: Distribution = Field(
        default="0s", validate_default=True, description="With fsync: the device's own flush."
    )

    @model_validator(mode="after")
    def _fitting(self) -> "Self":
        reads = self.access == "read"
        if reads and self.fsync:
            raise Mismatch("fsync with 'access: write'", "it with reads")
        if self.page_cache_hit and not reads:
            raise Mismatch("page_cache_hit with 'access: read'", "it with writes")
        return self

    def amounts(self, streams: Streams, step: int, attempts: int) -> Iterator[Any]:
        """For each request the ns that its call takes the device; 0: it does without."""
        sample = partial(self.latency.options.sample, streams.generator("handler", step))
        if self.access == "write":
            return self._flushed(sample, streams.generator("flush", step))
        return block_iterator(partial(self._read_ns, sample, streams.generator("cache", step)))

    @property
    def transfer_ns(self) -> int:
        """The transfer of one access."""
        return self.size * 1_000_000_000 // self.bandwidth if self.bandwidth else 0

    def _read_ns(self, sample: Callable[[int], Any], rng: "np.random.Generator", n: int) -> Any:
        # All are drawn, so that another hit ratio does not change the times of the misses.
        # A miss takes a nanosecond at least: none would say that it is a hit.
        missed = rng.random(n) >= self.page_cache_hit
        return (sample(n) + self.transfer_ns).clip(1) * missed

    def _flushed(self, sample: Callable[[int], Any], rng: "np.random.Generator") -> Iterator[Any]:
        flush = self.flush.options.sample
        on_device = int(self.fsync)
        return block_iterator(
            lambda n: (sample(n) + self.transfer_ns + flush(rng, n)).clip(1) * on_device
        )


class Device:
    """The file and the device under it."""

    interface = "blocking"

    def __init__(
        self, name: str, options: Options, machine: Machine, network: Network, streams: Streams
    ) -> None:
        self.name = name
        self._options = options
        self._file = File(name, self)
        self._station = Station(machine.env, options.queue_depth, lambda done: done())

    def perform(self, kernel: Kernel, server: Server, query: Query) -> Generator[Any, Any, None]:
        size_bytes = self._options.size
        if self._options.access == "read":
            yield from kernel.pread64(self._file, size_bytes, query.service_ns, query)
        else:
            yield from kernel.pwrite64(self._file, size_bytes)
            if self._options.fsync:
                yield from kernel.fsync(self._file, query.service_ns, query)

    def access(self, ns: int, at_ns: int, done: Callable[[], None]) -> None:
        self._station.enter(done, ns, at_ns)

    def usage(self) -> Usage:
        return self._station.usage()
