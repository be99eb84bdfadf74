"""The load, native and in Python, against a scripted server: counts, states, order, content."""

import os
import resource
import shutil
import signal
import socket as sockets
import struct
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loading import (
    ANSWERED,
    ANSWERED_WITH_ERROR,
    IN_FLIGHT,
    MS,
    REFUSED,
    TIMED_OUT,
    Connection,
    Load,
    Outcome,
    Script,
    answers,
    echo,
    query,
    query_bytes,
    reply,
    serving,
    silence,
)

from iosim.real import compiler
from iosim.real.plan import QUERY, QUERY_BYTES, DevicePlan, Step

Make = Callable[..., Load]
Command = list[str | Path]


@pytest.fixture(scope="module", params=["native", "python"])
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """What starts the load: a program, compiled into a cache of its own, or the interpreter."""
    if request.param == "python":
        return [sys.executable, "-m", "iosim.real.load"]
    if not any(map(shutil.which, compiler.COMPILERS)):
        pytest.skip("there is no C compiler")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return [compiler.load()]


@pytest.fixture
def load(command: Command, tmp_path: Path) -> Iterator[Make]:
    """Start the load's process on a plan: rows, think times, and the plan's numbers."""
    loads: list[Load] = []

    def start(rows: Any, think: Any = None, **numbers: Any) -> Load:
        loads.append(Load(command, tmp_path / f"plan {len(loads)}", rows, think, **numbers))
        return loads[-1]

    yield start
    for each in loads:
        with each:
            pass


def at(ms: int, client: int = 0, request_bytes: int = 16, reply_bytes: int = 16) -> tuple[int, ...]:
    """A request's row."""
    return ms * MS, client, request_bytes, reply_bytes


def run(started: Load, script: Script) -> tuple[Outcome, list[list[int]]]:
    """The outcome, and the rows of the requests that came, by connection."""
    with serving(script) as server:
        outcome = started.run(server.port)
    return outcome, [connection.rows for connection in server.connections]


# ---------------------------------------------------------------------------- the usual way


@pytest.mark.parametrize("spin", [0, 1])
def test_every_request_is_sent_once_at_its_client_and_answered(load: Make, spin: int) -> None:
    rows = [at(number // 10, number % 7, 8 + number, 8 + 3 * number) for number in range(200)]

    def answer_rightly(connection: Connection) -> None:
        while True:
            row = connection.request()
            connection.answer(row, 8 + 3 * row)

    outcome, found = run(load(rows, connections=7, spin=spin), answer_rightly)
    assert sorted(found) == [list(range(client, 200, 7)) for client in range(7)]
    assert outcome.states == [ANSWERED] * 200
    assert [each.row for each in outcome.responses] == list(range(200))
    assert [each.intended_ns for each in outcome.responses] == [row[0] for row in rows]
    assert all(each.intended_ns <= each.sent_ns <= each.answered_ns for each in outcome.responses)
    assert not any(
        outcome.done[name]
        for name in (
            "wrong",
            "retries",
            "connections_opened",
            "connect_failures",
            "connections_lost",
        )
    )
    assert outcome.done["late_p50_ns"] <= outcome.done["late_p99_ns"] <= outcome.done["late_max_ns"]
    assert 0 < outcome.done["busy_fraction"] <= 1


def test_silent_clients_have_connections_too(load: Make) -> None:
    outcome, found = run(load([at(0)], connections=150), echo)
    assert sorted(found) == [*([[]] * 149), [0]]
    assert outcome.states == [ANSWERED]


def test_nothing_is_sent_after_the_end(load: Make) -> None:
    outcome, found = run(load([at(0), at(300), at(301)], duration_ns=300 * MS), echo)
    assert found == [[0]]
    assert outcome.states == [ANSWERED]


def test_a_load_of_nothing(load: Make) -> None:
    outcome, found = run(load([], duration_ns=10 * MS), echo)
    assert found == [[]]
    assert outcome.responses == []


@pytest.mark.parametrize("size", [65_536, 20_000_000])
def test_messages_larger_than_any_buffer(load: Make, size: int) -> None:
    def answer_largely(connection: Connection) -> None:
        while True:
            time.sleep(0.1)  # the buffers are full now
            connection.answer(connection.request(), size + 1)

    rows = [at(0, 0, size, size + 1), at(1, 0, size, size + 1)]
    outcome, _ = run(load(rows, duration_ns=2_500 * MS), answer_largely)
    assert outcome.states == [ANSWERED] * 2
    assert outcome.done["wrong"] == 0


def test_an_answer_may_come_byte_by_byte(load: Make) -> None:
    def answer_slowly(connection: Connection) -> None:
        connection.socket.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        while True:
            for byte in reply(connection.request()):
                connection.socket.send(bytes([byte]))
                time.sleep(0.001)

    outcome, _ = run(load([at(0), at(0)]), answer_slowly)
    assert outcome.states == [ANSWERED] * 2
    assert outcome.done["wrong"] == 0


# ------------------------------------------------------------------- places on a connection


def test_without_pipelining_one_request_at_a_time_is_under_way(load: Make) -> None:
    def one_by_one(connection: Connection) -> None:
        while True:
            row = connection.request()
            assert connection.is_silent()
            connection.answer(row)

    outcome, found = run(load([at(0), at(0), at(0)], duration_ns=1_000 * MS), one_by_one)
    assert found == [[0, 1, 2]]
    assert outcome.states == [ANSWERED] * 3


def test_a_pipeline_takes_so_many_and_answers_in_any_order(load: Make) -> None:
    def three_backwards(connection: Connection) -> None:
        while True:
            rows = [connection.request() for _ in range(3)]
            assert connection.is_silent()
            connection.socket.sendall(b"".join(map(reply, reversed(rows))))

    outcome, found = run(
        load([at(0)] * 6, pipeline=3, duration_ns=1_000 * MS),
        three_backwards,
    )
    assert found == [list(range(6))]
    assert outcome.states == [ANSWERED] * 6
    assert outcome.done["wrong"] == 0


def test_more_than_may_wait_are_refused(load: Make) -> None:
    rows = [at(0, client) for client in (0, 1, 0, 1, 0, 1)]
    outcome, found = run(load(rows, connections=2, waiting=3), silence)
    assert sorted(found) == [[0], [1]]
    assert outcome.states == [IN_FLIGHT] * 5 + [REFUSED]
    assert [each.sent_ns >= 0 for each in outcome.responses] == [True] * 2 + [False] * 4


def test_who_has_waited_makes_room_for_others(load: Make) -> None:
    def late(connection: Connection) -> None:
        while True:
            row = connection.request()
            time.sleep(0.05)
            connection.answer(row)

    rows = [at(0), at(0), at(600), at(600)]
    outcome, _ = run(load(rows, waiting=1, duration_ns=1_500 * MS), late)
    assert outcome.states == [ANSWERED] * 4


# --------------------------------------------------------------------------------- patience


def test_a_late_answer_is_ignored_and_frees_the_connection(load: Make) -> None:
    def late(connection: Connection) -> None:
        row = connection.request()
        assert row == 0
        time.sleep(0.6)  # it has timed out
        connection.answer(row)
        echo(connection)

    outcome, found = run(
        load([at(0), at(1_000)], timeout_ns=400 * MS, duration_ns=1_600 * MS),
        late,
    )
    assert found == [[0, 1]]
    assert outcome.states == [TIMED_OUT, ANSWERED]
    assert outcome.responses[0].answered_ns == -1
    assert outcome.done["wrong"] == 0


def test_a_request_that_times_out_while_it_waits_is_never_sent(load: Make) -> None:
    outcome, found = run(load([at(0), at(1)], timeout_ns=50 * MS), silence)
    assert found == [[0]]
    assert outcome.states == [TIMED_OUT] * 2
    assert outcome.responses[1].sent_ns == -1


def test_who_gives_up_may_close_the_connection(load: Make) -> None:
    def only_later(connection: Connection) -> None:
        if connection.number == 0:
            silence(connection)
        echo(connection)

    started = load(
        [at(0), at(0), at(500)],
        pipeline=2,
        timeout_ns=400 * MS,
        close_on_timeout=1,
        duration_ns=1_100 * MS,
    )
    outcome, found = run(started, only_later)
    assert found == [[0, 1], [2]]
    assert outcome.states == [TIMED_OUT, TIMED_OUT, ANSWERED]
    assert outcome.done["connections_opened"] == 1
    assert outcome.done["connections_lost"] == 0


def test_what_waited_goes_on_the_next_connection(load: Make) -> None:
    def only_later(connection: Connection) -> None:
        if connection.number == 0:
            silence(connection)
        echo(connection)

    rows = [at(0), at(400)]
    outcome, found = run(
        load(rows, timeout_ns=500 * MS, close_on_timeout=1, duration_ns=1_300 * MS), only_later
    )
    assert found == [[0], [1]]
    assert outcome.states == [TIMED_OUT, ANSWERED]
    assert outcome.responses[1].sent_ns >= 500 * MS


def test_retries_are_new_requests_with_the_same_row(load: Make) -> None:
    started = load(
        [at(10)], pipeline=3, timeout_ns=30 * MS, retries=2, backoff_ns=5 * MS, duration_ns=300 * MS
    )
    outcome, found = run(started, silence)
    assert found == [[0, 0, 0]]
    assert outcome.done["retries"] == 2
    assert outcome.states == [TIMED_OUT] * 3
    assert [each.row for each in outcome.responses] == [0] * 3
    assert [each.intended_ns for each in outcome.responses] == [10 * MS, 45 * MS, 80 * MS]


def test_a_retry_may_be_answered(load: Make) -> None:
    def both_when_the_second_comes(connection: Connection) -> None:
        for row in [connection.request(), connection.request()]:
            connection.answer(row)
        connection.request()

    started = load([at(0)], pipeline=2, timeout_ns=400 * MS, retries=5, duration_ns=1_200 * MS)
    outcome, found = run(started, both_when_the_second_comes)
    assert found == [[0, 0]]
    assert outcome.states == [TIMED_OUT, ANSWERED]
    assert outcome.done["wrong"] == 0


# ------------------------------------------------------------- connections that come and go


def test_a_connection_lives_for_so_many_requests(load: Make) -> None:
    rows = [at(number) for number in range(7)]
    outcome, found = run(load(rows, lifetime=3, connections=4), echo)
    assert found == [[0, 1, 2], [3, 4, 5], [6]]
    assert outcome.states == [ANSWERED] * 7
    assert outcome.done["connections_opened"] == 3
    assert outcome.done["connections_lost"] == 0


def test_a_pipeline_ends_with_its_connection(load: Make) -> None:
    def pairs(connection: Connection) -> None:
        while True:
            rows = [connection.request() for _ in range(2)]
            assert connection.is_silent()
            for row in rows:
                connection.answer(row)

    rows = [at(0)] * 4
    outcome, found = run(load(rows, lifetime=2, pipeline=4, duration_ns=600 * MS), pairs)
    assert found == [[0, 1], [2, 3]]
    assert outcome.states == [ANSWERED] * 4


def test_many_short_connections(load: Make) -> None:
    rows = [at(number // 2, number % 20) for number in range(120)]
    outcome, found = run(load(rows, lifetime=1, connections=20, duration_ns=2_000 * MS), echo)
    assert sorted(row for (row,) in found) == list(range(120))
    assert outcome.states == [ANSWERED] * 120
    assert outcome.done["connections_opened"] == 120


def test_a_refused_connection_is_counted_and_tried_again(load: Make) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = load([at(0)], lifetime=1).run(port)
    assert outcome.states == [IN_FLIGHT]
    assert outcome.done["connect_failures"] >= 1
    assert outcome.done["connections_opened"] == 0


def test_a_connection_that_the_server_closes_is_lost(load: Make) -> None:
    def hang_up(connection: Connection) -> None:
        connection.request()
        if connection.number > 0:
            connection.answer(connection.rows[-1])
            echo(connection)

    rows = [at(0), at(0), at(200)]
    outcome, found = run(load(rows, duration_ns=600 * MS), hang_up)
    assert found == [[0], [1, 2]]
    assert outcome.states == [IN_FLIGHT, ANSWERED, ANSWERED]
    assert outcome.done["connections_lost"] == 1


def test_a_connection_that_the_server_resets_is_lost(load: Make) -> None:
    def reset(connection: Connection) -> None:
        connection.request()
        no_linger = struct.pack("ii", 1, 0)
        connection.socket.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, no_linger)

    outcome, _ = run(load([at(0)], timeout_ns=100 * MS), reset)
    assert outcome.states == [TIMED_OUT]
    assert outcome.done["connections_lost"] == 1


def test_what_was_lost_is_not_answered_on_the_next_connection(load: Make) -> None:
    def hang_up(connection: Connection) -> None:
        row = connection.request()
        if connection.number > 0:
            connection.answer(0)
            connection.answer(row)
            connection.request()

    outcome, found = run(load([at(0), at(200)], duration_ns=600 * MS), hang_up)
    assert found == [[0], [1]]
    assert outcome.states == [IN_FLIGHT, ANSWERED]
    assert outcome.done["wrong"] == 1


def test_who_times_out_before_there_is_a_connection_leaves_its_place(load: Make) -> None:
    started = load([at(0), at(700)], lifetime=9, timeout_ns=50 * MS, duration_ns=1_500 * MS)
    started.hear("devices")
    with sockets.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        started.start(listener.getsockname()[1])
        time.sleep(0.3)  # connections are refused, and the first request times out
        listener.listen()
        with listener.accept()[0] as socket:
            assert Connection(socket, 0).request() == 1
            outcome = started.outcome()
    assert outcome.states[0] == TIMED_OUT
    assert outcome.responses[0].sent_ns == -1
    assert started.leave() == 0


# --------------------------------------------------------------------------------- slowness


def test_slow_senders_send_in_pieces(load: Make) -> None:
    pieces: dict[int, list[int]] = {}

    def record_pieces(connection: Connection) -> None:
        data, sizes = b"", []
        while len(data) < 80:
            part = connection.socket.recv(1_000)
            if not part:
                return
            data += part
            sizes.append(len(part))
        row = struct.unpack_from("=I", data)[0]
        pieces[row] = sizes
        connection.answer(row)
        connection.request()

    rows = [at(0, 0, 80), at(0, 1, 80)]
    started = load(
        rows, connections=2, slow=1, piece_bytes=16, gap_ns=30 * MS, duration_ns=600 * MS
    )
    outcome, _ = run(started, record_pieces)
    assert pieces[1] == [80]
    assert len(pieces[0]) > 1
    assert all(size % 16 == 0 for size in pieces[0])
    assert outcome.states == [ANSWERED] * 2
    slow, fast = outcome.responses
    # Four gaps lie between five pieces.
    assert slow.answered_ns - slow.intended_ns >= 4 * 30 * MS
    assert fast.sent_ns >= 0


def test_the_next_request_of_a_slow_sender_follows_its_last_piece(load: Make) -> None:
    started = load(
        [at(0), at(0)], pipeline=2, slow=1, piece_bytes=8, gap_ns=40 * MS, duration_ns=800 * MS
    )
    outcome, found = run(started, echo)
    assert found == [[0, 1]]
    assert outcome.states == [ANSWERED] * 2
    first, second = outcome.responses
    assert second.sent_ns - first.intended_ns >= 2 * 40 * MS
    assert second.answered_ns - first.intended_ns >= 3 * 40 * MS


def test_slow_readers_take_their_time(load: Make) -> None:
    def answer_largely(connection: Connection) -> None:
        while True:
            connection.answer(connection.request(), 50_000)

    rows = [at(0, 0, 16, 50_000), at(0, 0, 16, 50_000)]
    started = load(rows, receive_bytes_per_s=200_000, duration_ns=1_500 * MS)
    outcome, _ = run(started, answer_largely)
    assert outcome.states == [ANSWERED] * 2
    assert outcome.done["wrong"] == 0
    for response in outcome.responses:
        assert response.answered_ns - response.sent_ns >= 249 * MS


# ----------------------------------------------------------------------------------- users


def test_users_think_and_ask_in_turn(load: Make) -> None:
    rows = [(-1, -1, 16, 16)] * 5
    think = [[(user + 1) * 10 * MS] * 256 for user in range(3)]
    started = load(rows, think, arrivals="users", users=3, connections=3, duration_ns=300 * MS)
    outcome, found = run(started, echo)
    count = len(outcome.responses)
    assert outcome.states.count(ANSWERED) >= count - 3
    # The rows are used in the order of asking, and again from the first.
    assert [each.row for each in outcome.responses] == [number % 5 for number in range(count)]
    assert len(found) == 3
    # Each user asks one think time after its last answer.
    last_ns = {10 * MS: 0, 20 * MS: 0, 30 * MS: 0}
    for response in outcome.responses:
        time_ns = next(ns for ns, last in last_ns.items() if response.intended_ns == last + ns)
        last_ns[time_ns] = response.answered_ns


def test_each_users_think_times_are_its_own(load: Make) -> None:
    rows = [(-1, -1, 16, 16)] * 9
    think = [[number * 1_000_003 for number in range(1, 257)]]
    started = load(rows, think, arrivals="users", users=1, duration_ns=200 * MS)
    outcome, _ = run(started, echo)
    last_ns = 0
    for number, response in enumerate(outcome.responses, 1):
        assert response.intended_ns == last_ns + number * 1_000_003
        last_ns = response.answered_ns


def test_a_user_asks_again_after_a_timeout_and_all_its_retries(load: Make) -> None:
    started = load(
        [(-1, -1, 16, 16)] * 4,
        [[20 * MS] * 256],
        arrivals="users",
        users=1,
        pipeline=9,
        timeout_ns=50 * MS,
        retries=1,
        backoff_ns=10 * MS,
        duration_ns=300 * MS,
    )
    outcome, _ = run(started, silence)
    assert [each.intended_ns // MS for each in outcome.responses] == [20, 80, 150, 210, 280]
    assert [each.row for each in outcome.responses] == [0, 0, 1, 1, 2]


# ---------------------------------------------------------------------------- wrong answers


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(reply(0)[:-1] + b"x", id="fill"),
        pytest.param(reply(0, 17), id="too long"),
        pytest.param(reply(0, 15), id="too short"),
        pytest.param(reply(0, failed=True), id="an error that nothing has caused"),
        pytest.param(reply(1) + reply(0), id="another's row"),
        pytest.param(reply(0) * 2, id="twice"),
    ],
)
def test_an_answer_that_is_not_what_was_to_come_is_counted(load: Make, wrong: bytes) -> None:
    def answer_wrongly(connection: Connection) -> None:
        connection.request()
        connection.socket.sendall(wrong)
        echo(connection)

    outcome, found = run(load([at(0), at(100)], duration_ns=400 * MS), answer_wrongly)
    assert found == [[0, 1]]
    assert outcome.done["wrong"] == 1
    assert outcome.states[1] == ANSWERED


def test_what_is_no_message_ends_the_connection(load: Make) -> None:
    def talk_nonsense(connection: Connection) -> None:
        row = connection.request()
        connection.answer(row, 4 if connection.number == 0 else 16)
        connection.request()

    outcome, found = run(load([at(0), at(100)], duration_ns=400 * MS), talk_nonsense)
    assert found == [[0], [1]]
    assert outcome.states == [IN_FLIGHT, ANSWERED]
    assert outcome.done["wrong"] == outcome.done["connections_lost"] == 1


@pytest.mark.parametrize("row", [0, 1])
def test_an_answer_before_its_request_is_wrong(load: Make, row: int) -> None:
    def too_early(connection: Connection) -> None:
        connection.socket.recv(8)
        connection.answer(row)
        connection.socket.recv(8)

    started = load([at(0), at(0)], pipeline=2, slow=1, piece_bytes=8, gap_ns=300 * MS)
    outcome, _ = run(started, too_early)
    assert outcome.states == [IN_FLIGHT] * 2
    assert outcome.done["wrong"] == 1


def test_an_error_is_right_if_all_attempts_of_a_call_fail(load: Make) -> None:
    def fail_as_told(connection: Connection) -> None:
        while True:
            row = connection.request()
            connection.answer(row, failed=row in (1, 2))

    ok, fails = 2 * MS, 2 * MS + 1
    rows = [(*at(0), 5, *attempts) for attempts in ((fails, ok), (fails, fails), (ok, fails))]
    started = load(
        rows,
        steps=(Step("cpu"), Step("call", 0, 2)),
        devices=(DevicePlan("socket", 1),),
    )
    outcome, _ = run(started, fail_as_told)
    assert outcome.states == [ANSWERED, ANSWERED_WITH_ERROR, ANSWERED_WITH_ERROR]
    assert outcome.done["wrong"] == 1  # the third: its first attempt was answered


# ---------------------------------------------------------------------------------- devices


def devices(load: Make, *concurrency: int) -> tuple[Load, int]:
    """A load with such devices, before it starts; and their port."""
    plans = tuple(DevicePlan("socket", most) for most in concurrency)
    started = load([], devices=plans)
    return started, int(started.hear("devices"))


def queries(port: int, *times_ms: int, device: int = 0) -> list[sockets.socket]:
    """Queries 0, 1, 2 ... which take so long; each has come before the next is sent."""
    found = []
    for row, ms in enumerate(times_ms):
        found.append(query(port, row, ms * MS, device))
        time.sleep(0.02)
    return found


def test_a_device_with_one_place_answers_in_order(load: Make) -> None:
    _, port = devices(load, 1)
    begin_ns = time.monotonic_ns()
    assert answers(queries(port, 200, 0, 50)) == [0, 1, 2]
    assert time.monotonic_ns() - begin_ns >= 250 * MS


def test_a_device_with_two_places_serves_two(load: Make) -> None:
    _, port = devices(load, 2)
    assert answers(queries(port, 500, 50, 100)) == [1, 2, 0]


def test_a_device_without_a_limit_keeps_nobody_waiting(load: Make) -> None:
    _, port = devices(load, 0)
    assert answers(queries(port, 600, 400, 200, 0)) == [3, 2, 1, 0]


def test_many_answers_come_in_the_order_of_their_times(load: Make) -> None:
    _, port = devices(load, 0)
    ranks = [number * 37 % 101 for number in range(100)]
    with sockets.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"".join(query_bytes(rank, 200 * MS + rank * MS // 10) for rank in ranks)
        )
        data = connection.recv(100 * QUERY_BYTES, sockets.MSG_WAITALL)
    rows = [QUERY.unpack_from(data, first)[0] for first in range(0, len(data), QUERY_BYTES)]
    assert rows == sorted(ranks)


def test_devices_do_not_wait_for_each_other(load: Make) -> None:
    _, port = devices(load, 1, 1)
    slow = query(port, 7, 300 * MS, device=0)
    time.sleep(0.02)
    assert answers([slow, *queries(port, 0, device=1)]) == [0, 7]


def test_an_error_at_once_takes_no_place(load: Make) -> None:
    _, port = devices(load, 1)
    slow = query(port, 7, 300 * MS)
    time.sleep(0.02)
    assert answers([slow, query(port, 8, 0, failed=True)]) == [8, 7]


def test_the_answer_is_the_query(load: Make) -> None:
    _, port = devices(load, 1)
    with query(port, 3, 5, failed=True) as connection:
        data = connection.recv(QUERY_BYTES, sockets.MSG_WAITALL)
    assert data == query_bytes(3, 5, failed=True)


def test_queries_may_come_in_pieces_and_several_at_once(load: Make) -> None:
    _, port = devices(load, 1)
    sent = b"".join(query_bytes(row, 1_000) for row in range(300))
    with sockets.create_connection(("127.0.0.1", port)) as connection:
        for first in (0, 100, 200):
            connection.sendall(sent[first : first + 100])
            time.sleep(0.01)
        connection.sendall(sent[300:])
        data = connection.recv(len(sent), sockets.MSG_WAITALL)
    rows = [QUERY.unpack_from(data, first)[0] for first in range(0, len(data), QUERY_BYTES)]
    assert rows == list(range(300))


def test_a_caller_that_is_gone_keeps_its_place_and_harms_nobody(load: Make) -> None:
    _, port = devices(load, 1)
    query(port, 0, 100 * MS).close()
    time.sleep(0.02)
    assert answers([query(port, 1, 0), query(port, 2, 0)]) == [1, 2]


def test_devices_serve_while_the_load_runs(load: Make) -> None:
    found: list[int] = []
    started = load([at(0)], devices=(DevicePlan("socket", 1),), duration_ns=500 * MS, spin=1)
    port = int(started.hear("devices"))

    def call_a_device(connection: Connection) -> None:
        row = connection.request()
        found.extend(answers([query(port, row + 70, 10 * MS)]))
        connection.answer(row)
        connection.request()

    with serving(call_a_device) as server:
        started.start(server.port)
        outcome = started.outcome()
        assert started.leave() == 0
    assert found == [70]
    assert outcome.states == [ANSWERED]


# ---------------------------------------------------------------------------------- the end


def test_it_ends_when_stdin_is_closed(load: Make) -> None:
    started = load([at(0)])
    started.hear("devices")
    assert started.leave() == 0


@pytest.mark.parametrize("spin", [0, 1])
def test_it_ends_at_once_when_stdin_is_closed_under_load(load: Make, spin: int) -> None:
    started = load([at(0)], connections=5, duration_ns=50_000 * MS, spin=spin)
    started.hear("devices")
    first = threading.Event()

    def tell_and_answer(connection: Connection) -> None:
        row = connection.request()
        first.set()
        connection.answer(row)
        echo(connection)

    with serving(tell_and_answer) as server:
        started.start(server.port)
        assert first.wait(20)
        assert started.leave() == 0
    assert len(server.ended) == 5  # all connections are closed
    assert not (started.folder / "responses").exists()


def test_it_leaves_nothing_but_the_responses(load: Make) -> None:
    started = load([at(0)], [[0]])
    run(started, echo)
    names = {path.name for path in started.folder.iterdir()}
    assert names == {"plan.txt", "requests", "think", "responses"}


def test_it_ends_itself_when_it_is_late(load: Make) -> None:
    started = load([at(0)], limit_s=1)
    assert started.process.wait(20) == -signal.SIGALRM


def test_it_ends_with_its_parent(command: Command, load: Make) -> None:
    folder = load([at(0)]).folder
    # Its stdin stays open: somebody else holds it as well.
    keeps, written = os.pipe()
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(
                """
                import subprocess, sys, time
                child = subprocess.Popen(sys.argv[1:], stdin=0, stdout=subprocess.PIPE)
                child.stdout.readline()
                print(child.pid, flush=True)
                time.sleep(100)
                """
            ),
            *command,
            folder,
        ],
        stdin=keeps,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    deadline_ns = time.monotonic_ns() + 20_000 * MS
    while is_running(child) and time.monotonic_ns() < deadline_ns:
        time.sleep(0.01)
    assert not is_running(child)
    os.close(keeps)
    os.close(written)


def is_running(pid: int) -> bool:
    """Whether there is such a process, and it is not a zombie."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_says_what_is_wrong_with_the_plan(load: Make) -> None:
    for numbers, text in (
        ({"columns": 9}, "too short"),
        ({"arrivals": "items"}, "items"),
        ({"connections": 0}, "client 0 of 0"),
        ({"steps": (Step("cpu"),)}, "5 columns are needed"),
        ({"slow": 1}, "slow clients send 0 bytes"),
    ):
        started = load([at(0)], **numbers)
        assert text in started.hear("error")
        assert started.process.wait(20) == 2
    started = load([at(1), at(0)])
    assert "after one at 1000000 ns" in started.hear("error")
    started = load([at(0, 0, 4)])
    assert "a request of 4 bytes" in started.hear("error")


def test_it_says_when_nobody_listens(load: Make) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    started = load([at(0)])
    started.hear("devices")
    started.tell(f"connect {port}")
    assert started.hear("error") == "connection 0: Connection refused"
    assert started.process.wait(20) == 2


def test_it_says_when_there_are_not_enough_descriptors(load: Make) -> None:
    started = load([at(0)], connections=100)
    started.hear("devices")
    resource.prlimit(started.process.pid, resource.RLIMIT_NOFILE, (20, 20))
    with serving(echo) as server:
        started.tell(f"connect {server.port}")
        assert "Too many open files" in started.hear("error")
        assert started.process.wait(20) == 2
