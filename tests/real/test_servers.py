"""Each real server answers byte for byte, counts what it must, survives, and leaves nothing."""

import fcntl
import os
import pkgutil
import random
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from serving import PATIENCE_S, Device, Serving, receive, reset, state

from iosim.real import servers
from iosim.real.plan import CALL, CPU, SLEEP, DevicePlan, Step

PIPELINES = {"threads", "coroutines"}
MODELS = sorted({each.name for each in pkgutil.iter_modules(servers.__path__)} - PIPELINES)

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "aio": [{}, {"workers": 20}, {"notify": "thread"}],
    "asyncio": [{}, {"api": "sockets"}],
    "coroutine": [{}, {"flavour": "greenlet"}, {"max_events": 1}],
    "epoll": [
        {},
        {"trigger": "edge"},
        {"trigger": "oneshot"},
        {"min_wait": 100_000},
        {"workers": 3},
        {"workers": 2, "trigger": "edge", "sharing": "shared_listener"},
        {"workers": 2, "trigger": "oneshot"},
        {"workers": 2, "sharing": "exclusive"},
        {"workers": 2, "sharing": "reuseport"},
    ],
    "io_uring": [
        {},
        {"multishot": True},
        {"skip_send": True},
        {"batch": 1, "entries": 4},
        {"sqpoll": True, "sq_thread_idle": 1_000_000},
    ],
    "nonblocking": [{}, {"pause": 100_000}],
    "signal_driven": [{}, {"queue": 1}],
    "thread_pool": [{"threads": 12}, {"threads": 12, "reader": "main"}],
    "thread_pool_callbacks": [{}, {"offload": "handler"}],
}
NEEDS = {"io_uring": "liburing", "greenlet": "greenlet", "uvloop": "uvloop"}
"""The packages that are no part of iosim: whoever needs one refuses without it."""


def needed(model: str, options: dict[str, Any]) -> str | None:
    """The package that this needs and that is not there."""
    for word in (model, *options.values()):
        if isinstance(word, str) and word in NEEDS and find_spec(NEEDS[word]) is None:
            return NEEDS[word]
    return None


def cases(*models: str) -> Any:
    """Every model with every set of options."""
    return pytest.mark.parametrize(
        ("model", "options"),
        [
            pytest.param(model, options, id="-".join([model, *map(str, options.values())]))
            for model in models or MODELS
            for options in VARIANTS.get(model, [{}])
        ],
    )


@pytest.fixture(autouse=True)
def _skip_without_package(request: pytest.FixtureRequest) -> None:
    values = getattr(request.node, "callspec", None)
    if values is not None and "options" in values.params and "model" in values.params:
        package = needed(values.params["model"], values.params["options"])
        if package is not None:
            pytest.skip(f"no {package}")


SIZES = [(64, 1024), (64, 8), (5000, 300), (100_000, 40_000), (64, 1 << 20), (300_000, 64)]
ROWS = [(*sizes, 0) for sizes in SIZES]
PLAIN = {"steps": (Step(CPU),)}


@cases()
def test_every_request_is_answered_byte_for_byte(model: str, options: dict[str, Any]) -> None:
    with Serving(model, options, ROWS, **PLAIN) as server:
        clients = [server.connect() for _ in range(8)]
        for row in range(len(ROWS)):
            for client in clients:
                server.ask(client, row)
        for client in clients:
            client.sendall(server.request(0))
        for client in reversed(clients):
            assert receive(client, 1024) == server.reply(0)
        in_pieces(server, clients[0])
        slowly(server, clients[1], model == "aio" and options.get("notify") != "thread")
        # An answer is counted when it has been sent, and may have been received before.
        assert server.mark_when("answered", 8 * len(ROWS) + 8 + 1 + 2)


def in_pieces(server: Serving, client: socket.socket) -> None:
    """A request, byte after byte."""
    for byte in server.request(1):
        client.send(bytes([byte]))
        time.sleep(0.0002)
    assert receive(client, 8) == server.reply(1)


def slowly(server: Serving, client: socket.socket, blocks: bool) -> None:
    """A large answer to who is slow to take it; `blocks`: nobody else is served meanwhile."""
    with server.connect(receive_bytes=4096) as slow:
        slow.sendall(server.request(4))
        time.sleep(0.05)
        assert sent_to(slow) < 1 << 20
        if not blocks:
            server.ask(client, 0)
        assert receive(slow, 1 << 20) == server.reply(4)
        if blocks:
            server.ask(client, 0)


def sent_to(client: socket.socket) -> int:
    """How many bytes wait at a client."""
    return struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, bytes(4)))[0]


PIPELINED = [model for model in MODELS if model not in ("thread_pool",)]


@cases(*PIPELINED)
def test_pipelined_requests_are_all_answered(model: str, options: dict[str, Any]) -> None:
    if model == "epoll" and options.get("workers", 1) > 1 and len(options) == 1:
        pytest.skip("several may serve the same connection at once: answers may mix")
    rows = [(64, 100_000 if row % 3 == 0 else 100, 0) for row in range(60)]
    with (
        Serving(model, options, rows, pipeline=60, **PLAIN) as server,
        server.connect() as client,
    ):
        client.sendall(b"".join(server.request(row) for row in range(60)))
        for row in range(60):
            assert receive(client, rows[row][1]) == server.reply(row)


STEPS = (Step(CPU), Step(CALL, 0, 2), Step(SLEEP), Step(CALL, 1, 1), Step(CPU))
US = 1000
CALLS = [
    (64, 1000, 10 * US, 300 * US << 1, 0, 200 * US, 200 * US << 1, 10 * US),
    (64, 1000, 10 * US, 300 * US << 1 | 1, 300 * US << 1, 200 * US, 200 * US << 1, 10 * US),
    (64, 1000, 10 * US, 300 * US << 1 | 1, 300 * US << 1 | 1, 200 * US, 200 * US << 1, 10 * US),
    (64, 1000, 10 * US, 300 * US << 1, 0, 0, 200 * US << 1 | 1, 10 * US),
]
"""All goes well; the second attempt does; none does; the other device fails."""
QUERIES = [1, 2, 2, 1]


@cases()
def test_calls_and_sleeps(model: str, options: dict[str, Any]) -> None:
    device = Device()
    devices = (DevicePlan("socket", 16), DevicePlan("blocking", 2))
    with Serving(model, options, CALLS, device.port, steps=STEPS, devices=devices) as server:
        clients = [server.connect() for _ in range(6)]
        for _ in range(3):
            for row in range(4):
                for client in clients:
                    client.sendall(server.request(row))
                for client in clients:
                    assert receive(client, 1000) == server.reply(row, failed=row >= 2), row
        assert device.queries == 3 * 6 * sum(QUERIES)
    device.close()


@cases()
def test_clients_that_mean_no_good_are_survived(model: str, options: dict[str, Any]) -> None:
    device = Device()
    devices = (DevicePlan("socket", 16),)
    rows = [(64, 100, 20_000_000 << 1), (64, 1 << 20, 0), (300_000, 64, 0)]
    steps = (Step(CALL, 0, 1),)
    with Serving(
        model, options, rows, device.port, steps=steps, devices=devices, cancel=1
    ) as server:
        silent = [server.connect() for _ in range(2)]
        hostile = [server.connect() for _ in range(8)]
        time.sleep(0.05)
        reset(hostile[0])
        hostile[1].sendall(server.request(0)[:3])
        hostile[1].close()
        hostile[2].sendall(server.request(2)[:1000])
        reset(hostile[2])
        hostile[3].sendall(server.request(0))  # and leaves while the device is called
        hostile[3].close()
        hostile[4].sendall(server.request(0))
        reset(hostile[4])
        hostile[5].sendall(server.request(1))  # and leaves in the middle of the answer
        receive(hostile[5], 1000)
        reset(hostile[5])
        garbage(hostile[6], random.Random(1).randbytes(4 << 20))
        garbage(hostile[7], b"\0\0\0\0" + b"\xff\xff\xff\x3f" + bytes(4 << 20))
        for _ in range(3):
            with server.connect() as client:
                server.ask(client, 0)
                server.ask(client, 2)
        time.sleep(0.05)
        with server.connect() as client:
            server.ask(client, 1)
        gone = time.monotonic() + PATIENCE_S
        most = len(silent) + 1 + 8  # the listener, and those to the device
        while sockets_of(server) > most and time.monotonic() < gone:
            time.sleep(0.01)
        assert sockets_of(server) <= most
        assert server.process.poll() is None
        returned, said = server.end()
        assert (returned, said) == (0, "")
    device.close()


def garbage(client: socket.socket, data: bytes) -> None:
    """Send as much of `data` as the server takes."""
    with suppress(OSError):
        client.sendall(data)
    client.close()


def sockets_of(server: Serving) -> int:
    """How many sockets it has open."""
    found = 0
    for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found += os.readlink(each).startswith("socket:")
    return found


# ------------------------------------------------------------------------- the end


def shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


def threads_of(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")
    except FileNotFoundError:
        return []


@cases()
def test_it_ends_with_its_stdin(model: str, options: dict[str, Any]) -> None:
    before = shared_memory()
    with Serving(model, options, ROWS, **PLAIN) as server:
        with server.connect() as client:
            server.ask(client, 0)
            code, said = server.end()
            assert (code, said) == (0, "")
            assert client.recv(1) == b""
        assert threads_of(server.process.pid) == []
    assert shared_memory() <= before


PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-m", "iosim.real.serve", *sys.argv[1:]],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
print(child.pid, child.stdout.readline(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("model", MODELS)
def test_it_ends_with_its_parent(model: str) -> None:
    if needed(model, {}):
        pytest.skip(f"no {needed(model, {})}")
    with Serving(model, {}, ROWS, **PLAIN) as server:
        with subprocess.Popen(
            [sys.executable, "-c", PARENT, str(server.folder), "0"], stdout=subprocess.PIPE
        ) as parent:
            assert parent.stdout is not None
            pid, word, port = parent.stdout.readline().split()
            assert word == b"listening"
            with socket.create_connection(("127.0.0.1", int(port)), PATIENCE_S) as client:
                server.ask(client, 0)
                parent.send_signal(signal.SIGKILL)
                assert client.recv(1) == b""
        gone = time.monotonic() + PATIENCE_S
        left = Path(f"/proc/{int(pid)}")
        while state(left) != "Z" and time.monotonic() < gone:
            time.sleep(0.01)
        assert state(left) == "Z"  # or gone: whoever has inherited it may not have asked yet


# ------------------------------------------------------------------------- what is counted


ONE = {"connections": 1, "lifetime": 0}


def counted(
    model: str,
    options: dict[str, Any],
    requests: int = 50,
    sleeps: bool = True,
    **changes: Any,
) -> dict[str, int]:
    """The counters over so many requests, one at a time on one connection."""
    with (
        Serving(model, options, ROWS, **{**PLAIN, **ONE, **changes}) as server,
        server.connect() as client,
    ):
        rest = server.fall_asleep if sleeps else lambda: time.sleep(0.002)
        for _ in range(5):
            server.ask(client, 0)
        rest()
        before = server.mark()
        rest()
        for _ in range(requests):
            server.ask(client, 0)
            rest()
        after = server.mark()
    return {name: after[name] - before[name] for name in after}


def test_blocking_switches_once_a_request() -> None:
    found = counted("blocking", {})
    # Besides, the control thread falls asleep once, after the first mark.
    assert 50 <= found["voluntary"] <= 52
    assert found["answered"] == 50
    assert found["waits"] == 0


def test_nonblocking_never_sleeps() -> None:
    found = counted("nonblocking", {}, requests=500, sleeps=False)
    # Its thread may have to wait for the interpreter while the marks are answered.
    assert found["voluntary"] < 50
    assert found["wasted_polls"] > 500


@pytest.mark.parametrize("model", ["epoll", "poll", "select"])
def test_a_loop_waits_once_a_request(model: str) -> None:
    found = counted(model, {})
    assert found["waits"] == found["wait_events"] == 50
    assert 50 <= found["voluntary"] <= 52
    assert found["wasted_polls"] == 0


def test_edge_triggered_is_drained() -> None:
    found = counted("epoll", {"trigger": "edge"})
    assert found["waits"] == 50
    assert found["wasted_polls"] == 50  # each socket is read until EAGAIN


def test_a_signal_driven_server_drains() -> None:
    found = counted("signal_driven", {})
    assert found["wasted_polls"] == 50
    assert 50 <= found["voluntary"] <= 52


@pytest.mark.parametrize("options", VARIANTS["coroutine"], ids=str)
def test_coroutine_switches_are_counted(options: dict[str, Any]) -> None:
    if needed("coroutine", options):
        pytest.skip("no greenlet")
    assert counted("coroutine", options)["coroutine_switches"] == 50


@pytest.mark.parametrize("options", VARIANTS["asyncio"], ids=str)
def test_task_switches_are_counted(options: dict[str, Any]) -> None:
    found = counted("asyncio", options)
    assert found["coroutine_switches"] == 50
    assert found["answered"] == 50
    assert found["waits"] >= 100  # one more for what goes on a pass later
    assert found["wait_events"] == 50


def test_task_switches_on_uvloop_are_counted_and_its_waits_are_not() -> None:
    if needed("uvloop", {}):
        pytest.skip("no uvloop")
    found = counted("uvloop", {})
    assert found["coroutine_switches"] == found["answered"] == 50
    assert 50 <= found["voluntary"] <= 52
    assert found["waits"] == found["wait_events"] == 0  # libuv keeps them to itself


def test_workers_tell_their_shares() -> None:
    with Serving("epoll", {"workers": 2, "sharing": "reuseport"}, ROWS, **PLAIN) as server:
        clients = [server.connect() for _ in range(40)]
        for client in clients:
            server.ask(client, 0)
        served: list[int] = []
        while sum(served) < 40:  # the last answer is counted just after it has been sent
            server.say("mark")
            served = [int(share) for share in server.read_line().split("served=")[1].split(",")]
        assert sum(served) == 40
        assert all(served)


OWN_WORK = ("asyncio", "coroutine", "epoll", "nonblocking", "poll", "signal_driven", "io_uring")


@cases(*OWN_WORK, "aio", "uvloop")
def test_own_work_is_done(model: str, options: dict[str, Any]) -> None:
    found = counted(model, options, requests=5, sleeps=False, own_work_chunk_ns=100_000)
    assert found["own_work_ns"] > 0
    assert found["own_work_ns"] % 100_000 == 0


# ------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("flavour", ["swapcontext", "longjmp"])
def test_a_native_flavour_is_refused(flavour: str) -> None:
    with Serving("coroutine", {"flavour": flavour}, ROWS, **PLAIN) as server:
        assert server.read_line().startswith(f"error coroutine: flavour {flavour} is a native")
        assert server.process.wait(PATIENCE_S) == 2


def test_select_says_which_descriptor_it_cannot_watch() -> None:
    with Serving("select", {}, ROWS, **PLAIN) as server:
        for _ in range(1030):
            server.connect()
        assert server.read_line().startswith("error select: select cannot watch descriptor 1")
        assert server.process.wait(PATIENCE_S) == 2


@pytest.mark.parametrize(
    ("name", "chosen", "package"),
    [
        ("io_uring", {}, "liburing"),
        ("coroutine", {"flavour": "greenlet"}, "greenlet"),
        ("uvloop", {}, "uvloop"),
    ],
)
def test_a_missing_package_is_named(
    name: str,
    chosen: dict[str, Any],
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError(name={package!r})")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    with Serving(name, chosen, ROWS, **PLAIN) as server:
        assert f"needs the package {package}" in server.first_line + server.read_line()
        assert server.process.wait(PATIENCE_S) == 2
