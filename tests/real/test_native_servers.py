"""Every native server answers every request, counts what it must, and survives its clients."""

import random
import re
import threading
import time
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from native_server import Client, Devices, Server, rows_of, serving

from iosim import io_models
from iosim.real import compiler
from iosim.real.plan import CALL, CPU, HEADER, SLEEP, DevicePlan, Step

try:
    compiler.find_compiler()
except compiler.CannotCompile as error:
    pytest.skip(str(error), allow_module_level=True)

Kind = tuple[str, dict[str, str]]


def kind(model: str, **options: object) -> Any:
    """A model with options, named by them."""
    texts = {name: str(value) for name, value in options.items()}
    words = [f"{name}={text}" for name, text in texts.items()]
    return pytest.param((model, texts), id="-".join([model, *words]))


EPOLL = [
    kind("epoll"),
    kind("epoll", trigger="edge"),
    kind("epoll", trigger="oneshot"),
    kind("epoll", max_events=1),
    kind("epoll", min_wait=100_000),
    *(
        kind("epoll", workers=3, sharing=sharing)
        for sharing in ("shared_epoll", "shared_listener", "exclusive", "reuseport")
    ),
    kind("epoll", workers=3, trigger="edge"),
    kind("epoll", workers=3, trigger="oneshot"),
]
LOOPS = [
    kind("nonblocking"),
    kind("nonblocking", pause=50_000),
    kind("select"),
    kind("poll"),
    *EPOLL,
    kind("signal_driven"),
    kind("signal_driven", queue=1),
]
COROUTINES = [
    kind("coroutine"),
    kind("coroutine", flavour="swapcontext", stack=65536),
    kind("coroutine", flavour="longjmp"),
]
THREADS = [
    kind("blocking"),
    kind("thread_pool", threads=8),
    kind("thread_pool", threads=6, reader="main"),
    kind("thread_pool_callbacks"),
    kind("thread_pool_callbacks", offload="handler"),
    kind("prefork", processes=40),
]
AIO = [
    kind("aio"),
    kind("aio", notify="thread"),
]
IO_URING = [
    kind("io_uring"),
    kind("io_uring", batch=1),
    kind("io_uring", entries=2, multishot=1),
    kind("io_uring", skip_send=1),
    kind("io_uring", multishot=1, skip_send=1),
    kind("io_uring", sqpoll=1, sq_thread_idle=1_000_000),
]
ALL = [*LOOPS, *COROUTINES, *THREADS, *AIO, *IO_URING]
SIZES = [(8, 8), (128, 1024), (9, 9), (5000, 100), (128, 70_000), (200_000, 8)]
MODELS = Path(io_models.__file__).parent
all_kinds = pytest.mark.parametrize("server_kind", ALL)


@pytest.mark.parametrize("path", sorted(MODELS.glob("[a-z]*.py")), ids=lambda path: path.stem)
def test_a_twin_takes_the_same_options(path: Path) -> None:
    source = compiler.SOURCES / f"{path.stem}.c"
    if not source.exists():
        assert path.stem in ("asyncio", "goroutine", "uvloop"), "those have runtimes of their own"
        return
    asked_for = re.findall(r'\boption_(?:number|text|is)\(\s*[^,]+,\s*"(\w+)"', source.read_text())
    options = import_module(f"iosim.io_models.{path.stem}").Options
    assert set(asked_for) == set(options.model_fields) - {"label"}


@all_kinds
def test_each_request_is_answered_byte_for_byte(server_kind: Kind, tmp_path: Path) -> None:
    rows = rows_of(SIZES, count=5)
    with serving(tmp_path, *server_kind, rows) as (server, _), Client(server, rows) as client:
        for row in range(len(rows)):
            client.ask(row)
            assert client.answer() == row
        server.counted("answered", len(rows))


@all_kinds
def test_requests_may_come_all_at_once(server_kind: Kind, tmp_path: Path) -> None:
    rows = rows_of(SIZES, count=10)
    with (
        serving(tmp_path, *server_kind, rows, pipeline=60) as (server, _),
        Client(server, rows) as client,
    ):
        sender = threading.Thread(target=client.ask, args=range(len(rows)))
        sender.start()
        assert sorted(client.answer() for _ in rows) == list(range(len(rows)))
        sender.join()


@all_kinds
def test_requests_may_come_in_pieces_of_a_byte(server_kind: Kind, tmp_path: Path) -> None:
    rows = rows_of([(40, 1024)])
    with (
        serving(tmp_path, *server_kind, rows) as (server, _),
        Client(server, rows) as client,
        Client(server, rows) as other,
    ):
        for _ in range(2):
            for byte in client.request(0):
                client.socket.sendall(bytes([byte]))
                time.sleep(0.0005)
            other.ask(0)
            assert client.answer() == other.answer() == 0


@all_kinds
def test_a_long_answer_to_a_slow_reader(server_kind: Kind, tmp_path: Path) -> None:
    rows = rows_of([(100, 1 << 20)], count=4)
    numbers = {"send_buffer_bytes": 65536, "receive_bytes_per_s": 1, "pipeline": 4}
    with (
        serving(tmp_path, *server_kind, rows, **numbers) as (server, _),
        Client(server, rows) as client,
        Client(server, rows) as other,
    ):
        client.ask(0, 1, 2, 3)
        time.sleep(0.1)  # let the buffer fill
        if server_kind[0] != "aio":  # its handler sleeps in send
            other.ask(0)
            assert other.answer() == 0
        assert sorted(client.answer() for _ in rows) == [0, 1, 2, 3]


STEPS = [Step(CPU), Step(CALL, 0, 2), Step(SLEEP), Step(CALL, 1, 2), Step(CPU)]
DEVICES = [DevicePlan("socket", 0), DevicePlan("blocking", 2)]


def columns(first: int, second: int) -> list[int]:
    """Of `STEPS`; `first` of the first device's attempts fail, `second` of the second's."""
    ns = 200_000 * 2
    return [
        20_000,
        ns + (first > 0),
        ns + (first > 1),
        100_000,
        ns + (second > 0),
        ns + (second > 1),
        1000,
    ]


@all_kinds
def test_steps_are_done_and_tried_again(server_kind: Kind, tmp_path: Path) -> None:
    cases = [(0, 0), (1, 0), (0, 1), (2, 0), (0, 2)]
    rows = [row for case in cases for row in rows_of([(128, 1024)], columns(*case))]
    with (
        serving(tmp_path, *server_kind, rows, STEPS, DEVICES) as (server, devices),
        Client(server, rows) as client,
    ):
        for row, (first, second) in enumerate(cases):
            client.ask(row)
            assert client.answer(failed=first == 2 or second == 2) == row
            asked = [device for number, device, _ in devices.queries if number == row]
            assert asked == [0] * (1 + (first > 0))
        assert devices.connections == 1, "it is kept for the next call"


@all_kinds
def test_many_clients_at_once(server_kind: Kind, tmp_path: Path) -> None:
    rows = rows_of([(128, 1024), (3000, 9000)], columns(0, 0), count=8)
    with serving(tmp_path, *server_kind, rows, STEPS, DEVICES) as (server, devices):
        before = server.descriptors()
        clients = [Client(server, rows) for _ in range(24)]
        for turn in range(3):
            for client in clients:
                client.ask(turn)
            for client in clients:
                assert client.answer() == turn
        for client in clients:
            client.socket.close()
        server.counted("answered", 3 * len(clients))
        # Nothing is left of the connections; those to devices stay, and what is made once.
        until_few_are_left(server, before + devices.connections + 6)
        if server.served:
            assert sum(server.served) == 3 * len(clients)


def until_few_are_left(server: Server, most: int) -> None:
    """Wait until it has no more than `most` descriptors open."""
    end = time.monotonic() + 20
    while server.descriptors() > most and time.monotonic() < end:
        time.sleep(0.01)
    assert server.descriptors() <= most


@all_kinds
def test_clients_that_misbehave(server_kind: Kind, tmp_path: Path) -> None:
    rows = rows_of([(128, 1024), (100_000, 1 << 20)], columns(0, 0))
    chance = random.Random(1)
    with serving(tmp_path, *server_kind, rows, STEPS, DEVICES) as (server, _):
        before = server.descriptors()
        with Client(server, rows) as good:
            good.ask(0)
            assert good.answer() == 0
            silent = [Client(server, rows) for _ in range(3)]
            for turn in range(5):
                half, resetter, hasty, gone, *bad = (Client(server, rows) for _ in range(8))
                half.socket.sendall(half.request(1)[: chance.randrange(1, 100_000)])
                half.reset() if turn % 2 else half.socket.close()
                resetter.reset()
                hasty.ask(0)  # and does not wait for the answer
                hasty.reset() if turn % 2 else hasty.socket.close()
                gone.ask(1)
                time.sleep(0.002 * turn)
                gone.reset() if turn % 2 else gone.socket.close()
                for client, row, size in zip(
                    bad, (0, 0, 2, 2**32 - 1), (7, 2**32 - 1, 128, 128), strict=True
                ):
                    client.socket.sendall(HEADER.pack(row, size))
                for client in bad:
                    assert client.is_closed()
                    client.socket.close()
                good.ask(0)
                assert good.answer() == 0
            # Megabytes that mean nothing.
            with Client(server, rows) as loud, pytest.raises(ConnectionError):
                for _ in range(1000):
                    loud.socket.sendall(bytes([255]) * 100_000)
            for client in silent:
                client.ask(0)
                assert client.answer() == 0
                client.socket.close()
            good.ask(0)
            assert good.answer() == 0
        until_few_are_left(server, before + 16)
        assert server.process.poll() is None


@all_kinds
def test_a_late_answer_is_nobody_elses(server_kind: Kind, tmp_path: Path) -> None:
    # Two rows: the first takes long at its device, and its client is gone by then.
    rows = [*rows_of([(128, 1024)], [100_000_000 * 2]), *rows_of([(128, 512)], [0])]
    steps, devices = [Step(CALL, 0, 1)], [DevicePlan("socket", 0)]
    with serving(tmp_path, *server_kind, rows, steps, devices) as (server, there):
        with Client(server, rows) as first:
            first.ask(0)
            while not there.queries:
                time.sleep(0.001)
        with Client(server, rows) as second:  # which may well get the first one's descriptor
            second.ask(1)
            assert second.answer() == 1
            time.sleep(0.15)
            second.ask(1)
            assert second.answer() == 1


@all_kinds
def test_it_ends_when_its_stdin_does(server_kind: Kind, tmp_path: Path) -> None:
    rows = rows_of([(128, 1024)])
    with serving(tmp_path, *server_kind, rows) as (server, _), Client(server, rows) as client:
        client.ask(0)
        assert client.answer() == 0
        forked = server.forked()
        assert server.end() == 0
        assert client.is_closed()
        end = time.monotonic() + 20
        while any(map(is_alive, forked)) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(map(is_alive, forked))


def test_processes_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    rows = rows_of([(128, 1024)])
    with serving(tmp_path, "prefork", {"processes": "3"}, rows) as (server, _):
        end = time.monotonic() + 20
        while len(forked := server.forked()) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        assert len(forked) == 3
        server.process.kill()
        while any(map(is_alive, forked)) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(map(is_alive, forked))


def is_alive(process: int) -> bool:
    """Whether there is such a process, which has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


# What a request costs where they come one at a time to a server that sleeps in between.
ONE_AT_A_TIME = [
    ("blocking", {}, {"voluntary": 1, "wasted_polls": 0}),
    ("prefork", {"processes": "2"}, {"voluntary": 1, "wasted_polls": 0}),
    ("select", {}, {"voluntary": 1, "waits": 1, "wait_events": 1, "wasted_polls": 0}),
    ("poll", {}, {"voluntary": 1, "waits": 1, "wait_events": 1, "wasted_polls": 0}),
    ("epoll", {}, {"voluntary": 1, "waits": 1, "wait_events": 1, "wasted_polls": 0}),
    (
        "epoll",
        {"trigger": "edge"},
        {"voluntary": 1, "waits": 1, "wait_events": 1, "wasted_polls": 1},
    ),
    (
        "epoll",
        {"trigger": "oneshot"},
        {"voluntary": 1, "waits": 1, "wait_events": 1, "wasted_polls": 0},
    ),
    ("signal_driven", {}, {"voluntary": 1, "wasted_polls": 1}),
    (
        "coroutine",
        {"flavour": "swapcontext"},
        {"voluntary": 1, "waits": 1, "wait_events": 1, "coroutine_switches": 1},
    ),
    (
        "coroutine",
        {"flavour": "longjmp"},
        {"voluntary": 1, "waits": 1, "wait_events": 1, "coroutine_switches": 1},
    ),
    ("thread_pool_callbacks", {}, {"voluntary": 1, "waits": 1, "wait_events": 1}),
    # Its own completion ends the wait after a send.
    ("io_uring", {}, {"voluntary": 1, "waits": 2, "wait_events": 2}),
    ("io_uring", {"skip_send": "1"}, {"voluntary": 1, "waits": 1, "wait_events": 1}),
    (
        "io_uring",
        {"skip_send": "1", "multishot": "1"},
        {"voluntary": 1, "waits": 1, "wait_events": 1},
    ),
]


@pytest.mark.parametrize(("model", "options", "expected"), ONE_AT_A_TIME)
def test_what_one_request_at_a_time_costs(
    model: str, options: dict[str, str], expected: dict[str, int], tmp_path: Path
) -> None:
    rows = rows_of([(128, 1024)])
    with serving(tmp_path, model, options, rows) as (server, _), Client(server, rows) as client:
        client.ask(0)
        client.answer()
        server.until_asleep()
        before = server.counted("answered", 1)
        for _ in range(20):
            client.ask(0)
            client.answer()
            server.until_asleep()
        after = server.counted("answered", 21)
        assert {name: (after[name] - before[name]) / 20 for name in expected} == expected
        assert after["cpu_ns"] > before["cpu_ns"] > 0
        assert after["clock_ns"] > before["clock_ns"]
        assert after["rss_bytes"] > 0 and after["peak_rss_bytes"] > 0


def test_who_polls_never_sleeps(tmp_path: Path) -> None:
    rows = rows_of([(128, 1024)])
    with serving(tmp_path, "nonblocking", {}, rows) as (server, _), Client(server, rows) as client:
        before = server.mark()
        for _ in range(20):
            client.ask(0)
            client.answer()
        after = server.counted("answered", 20)
    assert after["voluntary"] == before["voluntary"]
    assert after["wasted_polls"] > before["wasted_polls"]


@pytest.mark.parametrize("options", [{}, {"reader": "main"}])
def test_two_threads_have_each_request_of_a_pool(options: dict[str, str], tmp_path: Path) -> None:
    rows = rows_of([(128, 1024)])
    with (
        serving(tmp_path, "thread_pool", options, rows) as (server, _),
        Client(server, rows) as client,
    ):
        server.until_asleep()
        before = server.mark()
        for _ in range(20):
            client.ask(0)
            client.answer()
            server.until_asleep()
        after = server.counted("answered", 20)
    assert after["voluntary"] - before["voluntary"] >= 2 * 20
    assert after["threads"] == 1 + 8
    assert len(server.served) == 8 and sum(server.served) == 20


@pytest.mark.parametrize("model", ["nonblocking", "select", "poll", "epoll", "signal_driven"])
def test_own_work_is_done_meanwhile(model: str, tmp_path: Path) -> None:
    rows = rows_of([(128, 1024)])
    with (
        serving(tmp_path, model, {}, rows, own_work_chunk_ns=10_000) as (server, _),
        Client(server, rows) as client,
    ):
        for answered in range(1, 4):
            client.ask(0)
            client.answer()
            before_ns = server.counted("answered", answered)["own_work_ns"]
            while (done_ns := server.mark()["own_work_ns"]) == before_ns:
                time.sleep(0.001)
            assert done_ns % 10_000 == 0


def test_work_on_a_request_is_given_up_with_its_client(tmp_path: Path) -> None:
    # A row of two calls: the client leaves during the first.
    rows = rows_of([(128, 1024)], [100_000_000, 0])
    steps = [Step(CALL, 0, 1), Step(CALL, 0, 1)]
    for cancel in (0, 1):
        folder = tmp_path / str(cancel)
        with serving(
            folder, "epoll", {}, rows, steps, [DevicePlan("socket", 0)], cancel=cancel
        ) as (server, devices):
            with Client(server, rows) as client:
                client.ask(0)
                while not devices.queries:
                    time.sleep(0.001)
            with Client(server, rows) as other:
                other.ask(0)
                other.answer()
            assert len(devices.queries) == 4 - cancel


@pytest.mark.parametrize(
    ("model", "options", "says"),
    [
        ("asyncio", {}, "no native server"),
        ("uvloop", {}, "no native server"),
        ("coroutine", {"flavour": "greenlet"}, "greenlets"),
        ("prefork", {"processes": "1"}, "serve one each"),
        ("prefork", {"processes": "2", "wake": "herd"}, "no kernel"),
    ],
)
def test_what_cannot_be_is_said(
    model: str, options: dict[str, str], says: str, tmp_path: Path
) -> None:
    rows = rows_of([(128, 1024)])
    with serving(tmp_path, model, options, rows, connections=2) as (server, _):
        error = server.error or server.line()
        assert says in error
        assert server.process.wait(20) == 2


# ------------------------------------------------------------------------- pipelines


def pipeline(
    folder: Path, model: str, options: dict[str, str], duration_ns: int, ns: int
) -> AbstractContextManager[tuple[Server, Devices]]:
    """A server that makes and uses items, each of `ns`."""
    return serving(
        folder,
        model,
        options,
        [[ns, ns]] * 10,
        arrivals="items",
        producers=2,
        consumers=2,
        capacity=4,
        duration_ns=duration_ns,
    )


@pytest.mark.parametrize(
    ("model", "options"),
    [("threads", {}), ("threads", {"second_lock": "ordered"}), ("coroutines", {})],
)
def test_items_are_made_and_used(model: str, options: dict[str, str], tmp_path: Path) -> None:
    with pipeline(tmp_path, model, options, 300_000_000, 100_000) as (server, _):
        server.say(f"start {time.monotonic_ns() + 10_000_000}")
        assert server.line() == "done\n"
        answered = server.mark()["answered"]
        assert server.end() == 0
    values = memoryview((tmp_path / "responses").read_bytes()).cast("q").tolist()
    rows = [values[i : i + 5] for i in range(0, len(values), 5)]
    used = [row for row in rows if row[4] == 1]
    assert 0 < len(used) <= answered
    assert {row[0] for row in used} <= set(range(10))
    assert all(0 <= made == sent < used <= 300_000_000 for _, made, sent, used, _ in used)
    order = (tmp_path / "order").read_text()
    if model == "coroutines":
        assert order == "PC" * 32
    else:
        for length in range(len(order)):
            assert 0 <= order[:length].count("P") - order[:length].count("C") <= 4 + 2


def test_a_deadlock_is_reported(tmp_path: Path) -> None:
    options = {"second_lock": "misordered"}
    with pipeline(tmp_path, "threads", options, 100 * 10**9, 0) as (server, _):
        server.say(f"start {time.monotonic_ns()}")
        word, text = server.line().split(maxsplit=1)
        assert word == "deadlock"
        assert server.process.wait(20) == 3
    first, second = text.strip().split("; ")
    for one, other in ((first, second), (second, first)):
        thread, held = one.split(" holds ")
        mine, wanted = held.split(", waits for ")
        assert (
            wanted
            == f"{other.split(', ')[0].split(' holds ')[1]} (held by {other.split(' holds')[0]})"
        )
        assert mine in ("buffer lock", "statistics lock")
        assert thread.split()[0] in ("producer", "consumer")
