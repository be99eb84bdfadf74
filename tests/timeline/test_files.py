"""Files: hits, misses, writes, fsync; instants and sums by hand."""

from collections.abc import Generator
from typing import Any

from bench import Bench, Letter

from iosim.machine.files import File
from iosim.machine.kernel import Kernel

Steps = Generator[Any, Any, None]


class Storage:
    """A device that serves any number at once."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def access(self, ns: int, at_ns: int, done: Any) -> None:
        self.bench.log.append((at_ns, f"access of {ns}"))
        self.bench.at(at_ns + ns, done)


def reading(bench: Bench, file: File, device_ns: int, size_bytes: int = 4096) -> Any:
    def program(kernel: Kernel) -> Steps:
        yield from kernel.pread64(file, size_bytes, device_ns, Letter(bench))
        yield from kernel.settle()
        bench.note("read")

    return program


COSTS = {"syscall_ns": 5, "pread64_ns": 10, "file_copy_per_kib_ns": 7, "block_submit_ns": 20}


def test_a_read_from_the_page_cache_is_a_copy() -> None:
    bench = Bench(**COSTS)
    bench.spawn("a", reading(bench, File("f", Storage(bench)), device_ns=0))
    # 5 + 10 + 4 KiB of 7; nobody sleeps, and the device sees nothing.
    assert bench.run(1_000) == [(43, "read")]
    assert bench.calls() == {"pread64": 1}
    assert bench.machine.voluntary == 0


def test_copying_costs_by_the_size_of_the_access() -> None:
    table = ((1024, 10), (3072, 30))
    bench = Bench(file_copy_per_kib_ns=table)
    bench.spawn("a", reading(bench, File("f", Storage(bench)), 0, size_bytes=2048))
    # Between 10 and 30 a KiB: 20, twice.
    assert bench.run(1_000) == [(40, "read")]


def test_a_miss_sleeps_until_the_device_is_done() -> None:
    bench = Bench(**COSTS, block_interrupt_ns=30, context_switch_ns=3, idle_exit_ns=50)
    bench.spawn("a", reading(bench, File("f", Storage(bench)), device_ns=500))
    bench.spawn("b", bench.computes(100, name="b"))
    # Idle exit 50, switch 3, entry 5 + 10, submit 20: at 88. b: switch 3, until 191.
    # At 588 the interrupt finds the core idle: idle exit 50 and 30, then a's switch 3 (the
    # core is awake), and the copy, 28.
    assert bench.run(5_000) == [
        (88, "letter paused"),
        (88, "access of 500"),
        (191, "b"),
        (668, "letter delivered"),
        (671, "letter begun by a"),
        (699, "read"),
    ]
    assert bench.cpu()["softirq"] == 30


def test_the_interrupt_comes_to_the_core_that_submitted() -> None:
    bench = Bench(cores=2, block_interrupt_ns=30)
    file = File("f", Storage(bench))
    bench.spawn("a", reading(bench, file, device_ns=500))
    bench.spawn("b", reading(bench, file, device_ns=700))
    bench.run(5_000)
    assert [bench.cpu(core)["softirq"] for core in (0, 1)] == [30, 30]


def test_a_busy_core_is_pushed_aside_by_the_interrupt() -> None:
    bench = Bench(block_interrupt_ns=30)
    bench.spawn("a", reading(bench, File("f", Storage(bench)), device_ns=100))
    bench.spawn("b", bench.computes(500, name="b"))
    # First in, first out: b goes on after the interrupt, and a reads when b is done.
    assert bench.run(5_000)[2:] == [
        (130, "letter delivered"),
        (530, "b"),
        (530, "letter begun by a"),
        (530, "read"),
    ]


def test_a_write_fills_the_page_cache_and_fsync_waits() -> None:
    bench = Bench(
        syscall_ns=5, pwrite64_ns=40, fsync_ns=60, file_copy_per_kib_ns=7, block_submit_ns=20
    )
    file = File("f", Storage(bench))

    def program(kernel: Kernel) -> Steps:
        yield from kernel.pwrite64(file, 2048)
        yield from kernel.settle()
        bench.note("written")
        yield from kernel.fsync(file, 1_000, Letter(bench))
        yield from kernel.settle()
        bench.note("on the device")

    bench.spawn("a", program)
    # 5 + 40 + 14; then 5 + 60 + 20.
    assert bench.run(5_000) == [
        (59, "written"),
        (144, "letter paused"),
        (144, "access of 1000"),
        (1_144, "letter delivered"),
        (1_144, "letter begun by a"),
        (1_144, "on the device"),
    ]
    assert bench.calls() == {"pwrite64": 1, "fsync": 1}


def test_each_sleeper_is_woken_by_its_own_access() -> None:
    bench = Bench()
    file = File("f", Storage(bench))
    for name, ns in (("slow", 900), ("quick", 300)):
        bench.spawn(name, reading(bench, file, device_ns=ns))
    assert [line for line in bench.run(5_000) if "begun" in line[1]] == [
        (300, "letter begun by quick"),
        (900, "letter begun by slow"),
    ]


def test_no_signal_ends_a_read() -> None:
    bench = Bench(signal_deliver_ns=11)
    file = File("f", Storage(bench))

    def program(kernel: Kernel) -> Steps:
        def handler(value: Any) -> Steps:
            bench.note(f"handles {value}")
            return
            yield

        signals = yield from kernel.sigaction(handler)

        def other(kernel: Kernel) -> Steps:
            yield from kernel.compute(100)
            yield from kernel.sigqueue(thread, signals, "it")

        thread = kernel.thread
        yield from kernel.spawn("other", other)
        yield from kernel.pread64(file, 0, 500, Letter(bench))
        bench.note("read")
        yield from kernel.compute(50)
        yield from kernel.settle()
        bench.note("computed")

    bench.spawn("a", program)
    # Sent at 100, handled when the read is over at 500; its delivery, 11, is owed then.
    assert [line for line in bench.run(5_000) if "letter" not in line[1]] == [
        (0, "access of 500"),
        (500, "read"),
        (500, "handles it"),
        (561, "computed"),
    ]


def test_in_cpython_a_read_is_made_outside_the_interpreter_lock() -> None:
    bench = Bench(cpython=True)
    file = File("f", Storage(bench))
    bench.spawn("a", reading(bench, file, device_ns=1_000))
    bench.spawn("b", bench.computes(300, name="b"))
    bench.run(5_000)
    assert (300, "b") in bench.log
    assert bench.log[-1] == (1_000, "read")


def test_the_time_is_accounted_for() -> None:
    bench = Bench(**COSTS)
    bench.spawn("a", reading(bench, File("f", Storage(bench)), device_ns=500))
    bench.run(2_000)
    assert bench.cpu() == {"syscall": 5 + 10 + 20 + 28, "idle": 2_000 - 63}
