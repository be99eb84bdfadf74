"""io_uring: what each SQE costs and when, what is complete when, and that no arrival is lost."""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest
from bench import Bench, Letter, Outside, rr
from served import served

from iosim.io_models import io_uring
from iosim.machine.kernel import Kernel
from iosim.machine.sending import SendBuffer
from iosim.machine.sockets import EOF, PARTIAL, Part, Socket
from iosim.machine.thread import ASLEEP, RUNNING
from iosim.machine.uring import ACCEPT, READ, RECV, SEND, TIMEOUT, Sqe, Uring

Steps = Generator[Any, Any, None]

COSTS: dict[str, Any] = {
    "syscall_ns": 10,
    "io_uring_enter_ns": 20,
    "io_uring_fill_ns": 1,
    "io_uring_per_sqe_ns": 3,
    "io_uring_per_cqe_ns": 2,
    "io_uring_poll_arm_ns": 50,
    "recvfrom_ns": 100,
    "recvfrom_eagain_ns": 40,
    "sendto_ns": 200,
    "timer_set_ns": 5,
    # As late as a sleeping thread's timer would be; no timeout of io_uring is.
    "timer_slack_ns": 50_000,
}


def wait(kernel: Kernel, bench: Bench, ring: Uring, wait_nr: int = 1) -> Generator[Any, Any, Any]:
    """Submit, wait, and note what is complete."""
    cqes = yield from kernel.io_uring_submit_and_wait(ring, wait_nr)
    yield from kernel.settle()
    bench.note(" ".join(cqe.sqe.kind + "+" * cqe.more for cqe in cqes) or "nothing")
    return cqes


def letter_at(bench: Bench, at_ns: int, socket: Socket) -> None:
    bench.at(at_ns, lambda: bench.machine.arrive(socket, Letter(bench)))


# ------------------------------------------------------------------------------- one SQE


def test_a_recv_on_an_empty_socket_is_done_as_task_work_of_the_thread_that_waits() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(RECV, socket))
        yield from wait(kernel, bench, ring)

    thread = bench.spawn("a", program)
    letter_at(bench, 1_000, socket)
    # Set up 10, filled 1, entered 30, issued 3, tried and armed 90: asleep at 134. Woken at
    # 1,000 it receives, 100, and posts the CQE, 2.
    assert bench.run(5_000) == [
        (1_000, "letter begun by a"),
        (1_100, "letter paused"),
        (1_102, "recv"),
    ]
    assert bench.moments("slept") == [(134, "slept", "a")]
    assert bench.calls() == {"io_uring_setup": 1, "io_uring_enter": 1}
    assert bench.cpu() == {"user": 1, "syscall": 10 + 30 + 3 + 90 + 102, "idle": 5_000 - 236}
    assert thread.voluntary == 1


def test_a_recv_of_what_is_there_is_done_at_once() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket("socket", Letter(bench))

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(RECV, socket))
        yield from wait(kernel, bench, ring)

    thread = bench.spawn("a", program)
    # 10, 1, 30, 3: received from 44 to 144, posted at 146.
    assert bench.run(5_000) == [(44, "letter begun by a"), (144, "letter paused"), (146, "recv")]
    assert thread.voluntary == 0
    assert not socket.watchers


def test_a_send_leaves_where_it_is_issued_and_its_completion_ends_the_wait() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(SEND, socket, Letter(bench), 64))
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    # Filled at 11, entered at 41, issued at 44, gone at 244, posted at 246.
    assert bench.run(5_000) == [
        (11, "letter paused"),
        (44, "letter begun by a"),
        (244, "letter paused"),
        (244, "socket sent"),
        (246, "send"),
    ]


def test_a_silent_send_ends_no_wait() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(SEND, socket, Letter(), 64, silent=True))
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    assert bench.run(5_000) == [(244, "socket sent")]
    assert bench.moments("slept") == [(244, "slept", "a")]


def test_a_timeout_is_over_on_time_and_not_late_by_any_slack() -> None:
    bench = Bench(**COSTS)

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(TIMEOUT, message=Letter(), ns=1_000))
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    # Issued at 44, set at 49, due at 1,049; the CQE is posted by task work, 2.
    assert bench.run(5_000) == [(1_051, "timeout")]


def test_an_accept_gives_the_connection() -> None:
    bench = Bench(**COSTS, accept4_ns=70)
    listener = bench.socket("listener", Socket("connection", Outside(bench)))

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(ACCEPT, listener))
        (cqe,) = yield from wait(kernel, bench, ring)
        assert cqe.result.descriptor >= 0

    bench.spawn("a", program)
    assert bench.run(5_000) == [(114, "connection accepted"), (116, "accept")]


# ------------------------------------------------------------------------------- batches


def test_a_batch_enters_the_kernel_once() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        for _ in range(3):
            kernel.fill(ring, Sqe(SEND, socket, Letter(), 64))
        yield from wait(kernel, bench, ring, 3)

    bench.spawn("a", program)
    # 10, filled 3, entered 30; 3 + 200 each; posted together, 3 x 2.
    assert bench.run(5_000) == [
        (246, "socket sent"),
        (449, "socket sent"),
        (652, "socket sent"),
        (658, "send send send"),
    ]
    assert bench.calls() == {"io_uring_setup": 1, "io_uring_enter": 1}


def test_what_arrives_while_the_first_is_received_is_for_the_next_wait() -> None:
    bench = Bench(**COSTS)
    first, second = bench.socket("first"), bench.socket("second")

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(RECV, first))
        kernel.fill(ring, Sqe(RECV, second))
        yield from wait(kernel, bench, ring)
        yield from wait(kernel, bench, ring)

    thread = bench.spawn("a", program)
    bench.arrive(1_000, first)
    bench.arrive(1_050, second)
    # The task work is taken as a whole at 1,000: one receive, 102. Then one more entry, 30, and
    # the other receive, without a sleep.
    assert bench.run(5_000) == [(1_102, "recv"), (1_234, "recv")]
    assert thread.voluntary == 1


def test_two_that_have_arrived_are_one_batch() -> None:
    bench = Bench(**COSTS)
    first, second = bench.socket("first"), bench.socket("second")

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(RECV, first))
        kernel.fill(ring, Sqe(RECV, second))
        yield from kernel.io_uring_submit(ring)
        yield from kernel.compute(2_000)
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    bench.arrive(1_000, first)
    bench.arrive(1_050, second)
    # 10, 2, 30, armed 93 each: 228; computed until 2,228; entered 30; received 200; posted 4.
    # Nothing is done before the thread enters: the task work is deferred.
    assert bench.run(5_000) == [(2_462, "recv recv")]


def test_who_waits_for_two_is_not_woken_by_one() -> None:
    bench = Bench(**COSTS)
    first, second = bench.socket("first"), bench.socket("second")

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(RECV, first))
        kernel.fill(ring, Sqe(RECV, second))
        yield from wait(kernel, bench, ring, 2)

    thread = bench.spawn("a", program)
    bench.arrive(1_000, first)
    bench.arrive(3_000, second)
    assert bench.run(5_000) == [(3_204, "recv recv")]
    assert thread.voluntary == 1


# ------------------------------------------------------------------- multishot, overflow


def test_a_multishot_recv_is_armed_once_and_completes_for_each_arrival() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(RECV, socket, multishot=True))
        for _ in range(3):
            yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    bench.arrive(1_000, socket)
    bench.arrive(2_000, socket)
    bench.at(3_000, lambda: bench.machine.arrive(socket, EOF))
    assert bench.run(5_000) == [(1_102, "recv+"), (2_102, "recv+"), (3_102, "recv")]
    assert bench.calls()["io_uring_enter"] == 3
    # Armed once: 10, 1, 30, 3, 90; two more entries; three messages.
    assert bench.cpu()["syscall"] == 10 + 30 + 93 + 2 * 30 + 3 * 102
    assert not socket.watchers


def test_completions_beyond_the_ring_are_kept_and_end_a_multishot() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket("socket", *(Letter() for _ in range(3)))

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(1)
        kernel.fill(ring, Sqe(RECV, socket, multishot=True))
        yield from wait(kernel, bench, ring)
        yield from wait(kernel, bench, ring)
        assert not socket.watchers

    bench.spawn("a", program)
    # One entry, so room for two CQEs; the third comes with the next call, for which the kernel
    # is entered, and says that no more will. 44, three received 300, armed 90, posted 6; then 30.
    assert bench.run(5_000) == [(440, "recv+ recv+"), (470, "recv")]


def test_a_recv_that_finds_a_part_says_so() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()
    letter = Letter(bench)
    results = []

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        for _ in range(2):
            kernel.fill(ring, Sqe(RECV, socket))
            cqes = yield from wait(kernel, bench, ring)
            results.extend(cqe.result for cqe in cqes)

    bench.spawn("a", program)
    for at_ns, part in ((1_000, Part(letter, 10, False)), (2_000, Part(letter, 54, True))):
        bench.at(at_ns, partial(bench.machine.arrive, socket, part))
    # Each time: received 100, posted 2.
    assert bench.run(9_000) == [
        (1_102, "recv"),
        (2_000, "letter begun by a"),
        (2_100, "letter paused"),
        (2_102, "recv"),
    ]
    assert results == [PARTIAL, letter]


class Reply(Letter):
    """A letter that may have to wait for room."""

    def has_room(self, now: int) -> None:
        self._note("has room", now)


def test_a_send_is_complete_when_there_has_been_room_for_all() -> None:
    bench = Bench(**COSTS)
    socket = bench.socket()
    # A byte a us.
    socket.outgoing = SendBuffer(bench.machine, socket, socket.peer, 30, 1_000_000)

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(SEND, socket, Reply(), 40))
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    # Issued at 44; of 40 bytes 30 go by 244, a poll is armed by 294. They leave from then on;
    # a third has by 10,294: 10 more, 200, posted 2. The last is with the peer 40,000 after 294.
    assert bench.run(90_000) == [(10_496, "send"), (40_294, "socket sent")]


# ---------------------------------------------------------------------------- io-wq


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("issued", [True, False])
def test_a_send_whose_socket_is_closed_completes_with_an_error(issued: bool, silent: bool) -> None:
    bench = Bench()
    socket = bench.socket()
    assert socket.peer is not None
    socket.outgoing = SendBuffer(bench.machine, socket, socket.peer, 30, 1_000_000)

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(ring, Sqe(SEND, socket, Reply(), 40, silent=silent))
        if issued:  # 10 bytes of 40 find no room: a poll is armed
            yield from kernel.io_uring_submit(ring)
        yield from kernel.close(socket)
        (cqe,) = yield from kernel.io_uring_submit_and_wait(ring, 1)
        bench.note(repr(cqe.result))

    bench.spawn("a", program)
    log = bench.run(1_000_000)
    assert (0, "ECANCELED") in log
    assert not any(text == "socket sent" for _, text in log)
    assert not socket.watchers


def asking(socket: Socket, letter: Letter) -> Callable[[Kernel], Steps]:
    """A call that blocks: send `letter`, and sleep until there is an answer."""

    def perform(kernel: Kernel) -> Steps:
        yield from kernel.sendto(socket, letter, 64)
        yield from kernel.recvfrom(socket)

    return perform


def test_a_read_that_blocks_is_done_by_a_thread_of_the_kernel() -> None:
    bench = Bench(cores=2, **COSTS, thread_create_ns=1_000, wake_up_ns=7)
    file = bench.socket("file")

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8)
        kernel.fill(
            ring, Sqe(READ, message=(letter := Letter(bench)), perform=asking(file, letter))
        )
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    letter_at(bench, 5_000, file)
    # Issued at 44, the worker there at 1,044: it asks, 10 and 200, and
    # sleeps after 10 more. At 5,000 it receives, 100,
    # and wakes the first, which posts the CQE, 2.
    assert bench.run(9_000) == [
        (11, "letter paused"),
        (1_044, "letter begun by iou-wrk 1"),
        (1_254, "letter paused"),
        (1_254, "file sent"),
        (5_000, "letter begun by iou-wrk 1"),
        (5_100, "letter paused"),
        (5_102, "read"),
    ]
    assert bench.moments("slept")[:2] == [(1_044, "slept", "a"), (1_264, "slept", "iou-wrk 1")]
    assert bench.cpu(1)["syscall"] == 10 + 200 + 10 + 100 + 7


def test_there_are_only_so_many_such_threads() -> None:
    bench = Bench(cores=2, **COSTS)
    files = [bench.socket(f"file {n}") for n in range(2)]

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8, workers=1)
        for file in files:
            kernel.fill(ring, Sqe(READ, message=(letter := Letter()), perform=asking(file, letter)))
        yield from wait(kernel, bench, ring)
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    bench.arrive(5_000, files[0])
    bench.arrive(8_000, files[1])
    # The second is begun when the first is done.
    assert bench.run(9_000) == [
        (255, "file 0 sent"),
        (5_102, "read"),
        (5_310, "file 1 sent"),
        (8_102, "read"),
    ]
    assert [thread.name for thread in bench.machine.threads] == ["iou-wrk 1"]


# ---------------------------------------------------------------------------- SQPOLL


def test_while_its_thread_spins_a_submission_needs_no_syscall() -> None:
    bench = Bench(cores=2, **COSTS, io_uring_sqpoll_round_ns=50)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8, sq_thread_idle_ns=10_000)
        yield from kernel.compute(1_000)
        kernel.fill(ring, Sqe(SEND, socket, Letter(), 64))
        yield from kernel.io_uring_submit(ring)
        yield from kernel.compute(1_000)
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    # Both begin at 10. Handed over at 1,011; seen at the end of a look, 1,060; issued 3, sent 200,
    # posted 2. The program finds the CQE at 2,011, without having entered the kernel.
    assert bench.run(5_000) == [(1_263, "socket sent"), (2_011, "send")]
    assert bench.calls() == {"io_uring_setup": 1}
    assert bench.cpu(1) == {"idle": 10, "spin": 5_000 - 10 - 205, "syscall": 205}


def test_its_thread_sleeps_when_it_has_spun_in_vain_and_is_then_woken_by_a_syscall() -> None:
    bench = Bench(cores=2, **COSTS, io_uring_sqpoll_round_ns=50, wake_up_ns=7)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8, sq_thread_idle_ns=500)
        yield from kernel.compute(1_000)
        kernel.fill(ring, Sqe(SEND, socket, Letter(), 64))
        yield from kernel.io_uring_submit(ring)
        yield from kernel.settle()
        bench.note("submitted")

    bench.spawn("a", program)
    # It spins from 10 to 510. The call: 30 until 1,041, when it is woken; 7 for that.
    assert bench.run(5_000) == [(1_048, "submitted"), (1_244, "socket sent")]
    assert bench.moments("slept", "woke") == [
        (510, "slept", "iou-sqp"),
        (1_041, "woke", "iou-sqp"),
        (1_746, "slept", "iou-sqp"),
    ]
    assert bench.calls() == {"io_uring_setup": 1, "io_uring_enter": 1}
    assert bench.cpu(1)["spin"] == 1_000


def test_an_arrival_wakes_its_thread_which_wakes_who_waits() -> None:
    bench = Bench(cores=2, **COSTS, io_uring_sqpoll_round_ns=50, wake_up_ns=7)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8, sq_thread_idle_ns=500)
        kernel.fill(ring, Sqe(RECV, socket))
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    bench.arrive(3_000, socket)
    # Asleep since some 700 ns; at 3,000 it receives, 100, posts, 2, and wakes the program.
    assert bench.run(5_000) == [(3_102, "recv")]
    assert bench.moments("woke") == [(3_000, "woke", "iou-sqp"), (3_102, "woke", "a")]
    assert bench.calls() == {"io_uring_setup": 1, "io_uring_enter": 1}


def test_an_arrival_is_seen_at_its_threads_next_look() -> None:
    bench = Bench(cores=2, **COSTS, io_uring_sqpoll_round_ns=50)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8, sq_thread_idle_ns=10_000)
        kernel.fill(ring, Sqe(RECV, socket))
        yield from wait(kernel, bench, ring)

    bench.spawn("a", program)
    bench.arrive(1_000, socket)
    # Handed over at 11, seen at 60, armed at 153. Looks end each 50 from then on: at 1,003 it is
    # seen, received at 1,103 and posted at 1,105.
    assert bench.run(5_000) == [(1_105, "recv")]


def test_a_program_waits_for_room_in_a_ring_that_is_full() -> None:
    bench = Bench(cores=2, **COSTS, io_uring_sqpoll_round_ns=50)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(1, sq_thread_idle_ns=10_000)
        kernel.fill(ring, Sqe(SEND, socket, Letter(), 64))
        yield from kernel.io_uring_submit(ring)
        assert ring.full
        yield from kernel.io_uring_sqring_wait(ring)
        assert not ring.full
        bench.note("room")

    bench.spawn("a", program)
    # Handed over at 11, seen at 60, sent at 263 and posted at 265: then who waits is told.
    assert bench.run(5_000) == [(263, "socket sent"), (265, "room")]


def test_on_one_core_its_thread_spins_in_the_programs_way() -> None:
    bench = Bench(queue=rr("1us"), **COSTS, io_uring_sqpoll_round_ns=50)
    socket = bench.socket()

    def program(kernel: Kernel) -> Steps:
        ring = yield from kernel.io_uring_setup(8, sq_thread_idle_ns=100_000)
        kernel.fill(ring, Sqe(SEND, socket, Letter(), 64))
        yield from kernel.io_uring_submit(ring)
        yield from kernel.compute(3_000)
        yield from kernel.settle()
        bench.note("computed")

    bench.spawn("a", program)
    bench.run(20_000)
    # Slices of 1,000 in turn: 3,011 of its own, and three of the other's.
    assert [text for _, text in bench.log] == ["socket sent", "computed"]
    assert bench.log[-1][0] == pytest.approx(6_000, abs=300)


# ------------------------------------------------------------------- nothing gets lost

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "batch": {"batch": 1},
    "multishot": {"multishot": True, "skip_send": True},
    "tiny": {"entries": 1},
    "tiny multishot": {"entries": 1, "multishot": True},
    "sqpoll": {"sqpoll": True, "sq_thread_idle": "200ns"},
    "sqpoll tiny": {"sqpoll": True, "sq_thread_idle": "200ns", "entries": 1, "multishot": True},
}


@pytest.mark.parametrize("way", WAYS)
def test_no_arrival_at_any_instant_is_lost(way: str) -> None:
    """Others come at each instant from before the first request's to the next sleep.

    One of them on the same connection, so that it also meets with a recv on its way to be armed.
    """
    begin_ns = 20_000
    states = set()
    for shift_ns in range(-20, 800):
        bench = Bench(cores=2, **COSTS, io_uring_sqpoll_round_ns=30, wake_up_ns=7)
        second_ns = begin_ns + shift_ns
        bench.at(second_ns, lambda: states.add(bench.machine.threads[0].state))  # noqa: B023
        arrivals = [(begin_ns, 0), (second_ns, 0), (second_ns + 53, 1)]
        answers = served(bench, io_uring, WAYS[way], arrivals)
        assert sorted(number for _, number in answers) == [0, 1, 2], shift_ns
    assert states == {RUNNING, ASLEEP}  # it has met with the program awake, and asleep
