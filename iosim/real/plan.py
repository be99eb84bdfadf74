"""What a run for real is to be: a folder that the server's and the clients' process read.

`plan.txt` holds one `key value` a line, in any order, and those of the same key in their
order; `requests` and `think` hold 64-bit integers in the machine's byte order.

    model epoll                     which server
    runtime cpython                 or native
    option trigger level            one for each of the model's options; durations in ns, sizes in
                                    bytes, booleans 0 or 1, none -
    step cpu                        the handler's, in order: cpu, sleep,
    step call 0 3                   or call DEVICE ATTEMPTS
    device socket 16                INTERFACE (socket, blocking) and CONCURRENCY (0: no limit)
    arrivals times                  or users, or items
    ...                             and the numbers of `Plan`, by their names there

`requests`: a row for each request, `columns` wide:

    intended_ns   from the start of the load; of users it is decided on the way: -1
    client        who asks, from 0; of users -1
    request_bytes, reply_bytes
    and for each step: cpu, sleep: ns; call: for each attempt service_ns * 2 + (1 if it fails);
    -2: the request has no such step, as it is of another class

Users use the rows in the order of asking, and again from the first when they are used up; user u
thinks `think[u][k % THINK_TIMES]` ns before asking for the k-th time. Of `items`, a row has two
columns: ns to produce and to consume.

On the wire a request and its answer begin with `HEADER`: the request's row, and how many bytes
the message has, header included (`FAILED` set in an answer: it is an error); the rest is
`REQUEST_FILL` or `REPLY_FILL`. A query to a device is `QUERY_BYTES` long, begins with `QUERY`
(row, device, whether it fails, service_ns), and comes back as its answer.

Validated by: tests/real/test_plan.py
"""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from mmap import ACCESS_READ, mmap
from pathlib import Path
from struct import Struct
from typing import Final

HEADER: Final = Struct("=II")
FAILED: Final = 1 << 31
REQUEST_FILL: Final = b"q"
REPLY_FILL: Final = b"r"
QUERY: Final = Struct("=IHHq")
QUERY_BYTES: Final = 128
NO_SUCH_STEP: Final = -2
"""Even: as a call it does not fail."""
FIXED_COLUMNS: Final = 4
"""intended_ns, client, request_bytes, reply_bytes."""
THINK_TIMES: Final = 256

TIMES: Final = "times"
USERS: Final = "users"
ITEMS: Final = "items"

CPU: Final = "cpu"
CALL: Final = "call"
SLEEP: Final = "sleep"


@dataclass(frozen=True)
class Step:
    """One step of the handler; `device` and `attempts` of a call."""

    kind: str
    device: int = -1
    attempts: int = 0

    @property
    def columns(self) -> int:
        """How many of a row's columns are its."""
        return self.attempts if self.kind is CALL else 1


@dataclass(frozen=True)
class DevicePlan:
    """Where a call goes: over a socket, or it blocks; how many at once (0: any number)."""

    interface: str
    concurrency: int


@dataclass(frozen=True)
class Plan:
    """One run for real. None of the numbers is missing; 0 stands for none."""

    model: str
    runtime: str
    arrivals: str
    server_cpus: tuple[int, ...]
    client_cpus: tuple[int, ...]
    duration_ns: int
    warm_up_ns: int
    limit_s: int
    """Whoever still runs after so long ends itself."""
    options: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    devices: tuple[DevicePlan, ...] = ()
    rows: int = 0
    columns: int = FIXED_COLUMNS
    request_bytes: int = 128
    """The usual size; `requests` has each one's."""
    reply_bytes: int = 1024
    connections: int = 1
    users: int = 0
    """User u has connection u."""
    lifetime: int = 0
    """Requests after which a client closes its connection and opens another."""
    pipeline: int = 1
    slow: int = 0
    """So many clients, the first ones, send `piece_bytes` every `gap_ns`."""
    piece_bytes: int = 0
    gap_ns: int = 0
    receive_bytes_per_s: int = 0
    timeout_ns: int = 0
    close_on_timeout: int = 0
    retries: int = 0
    backoff_ns: int = 0
    waiting: int = 0
    """Requests that may wait at the clients for a connection; more are refused."""
    backlog: int = 4096
    """Of listen(2)."""
    send_buffer_bytes: int = 0
    """SO_SNDBUF of the server's connections; 0: as the kernel has it."""
    own_work_chunk_ns: int = 0
    cancel: int = 0
    producers: int = 0
    consumers: int = 0
    capacity: int = 0
    spin: int = 1
    """Whether the clients' process looks around all the time, instead of sleeping."""


_LISTS = {"option", "step", "device"}


def write(folder: Path, plan: Plan, requests: "array[int]", think: "array[int] | None") -> None:
    """Write `plan` and its tables into `folder`."""
    lines = []
    for each in fields(plan):
        value = getattr(plan, each.name)
        if each.name == "options":
            lines += [f"option {name} {text}" for name, text in value.items()]
        elif each.name == "steps":
            lines += [_step_line(step) for step in value]
        elif each.name == "devices":
            lines += [f"device {device.interface} {device.concurrency}" for device in value]
        elif isinstance(value, tuple):
            lines.append(f"{each.name} {' '.join(map(str, value))}")
        else:
            lines.append(f"{each.name} {value}")
    (folder / "plan.txt").write_text("\n".join(lines) + "\n")
    (folder / "requests").write_bytes(requests.tobytes())
    if think is not None:
        (folder / "think").write_bytes(think.tobytes())


def _step_line(step: Step) -> str:
    return f"step call {step.device} {step.attempts}" if step.kind is CALL else f"step {step.kind}"


def read(folder: Path) -> Plan:
    """The plan in `folder`."""
    words = [line.split() for line in (folder / "plan.txt").read_text().splitlines()]
    lists: dict[str, list[list[str]]] = {name: [] for name in _LISTS}
    values: dict[str, object] = {}
    kinds = {each.name: each.type for each in fields(Plan)}
    for key, *rest in words:
        if key in lists:
            lists[key].append(rest)
        elif kinds[key] is str:
            values[key] = rest[0]
        elif kinds[key] is int:
            values[key] = int(rest[0])
        else:
            values[key] = tuple(map(int, rest))
    return Plan(
        **values,  # type: ignore[arg-type]
        options={name: " ".join(value) for name, *value in lists["option"]},
        steps=tuple(map(_step, lists["step"])),
        devices=tuple(DevicePlan(interface, int(most)) for interface, most in lists["device"]),
    )


def _step(words: list[str]) -> Step:
    if words[0] == CALL:
        return Step(CALL, int(words[1]), int(words[2]))
    return Step(CPU if words[0] == CPU else SLEEP)


def table(folder: Path, name: str) -> "memoryview[int]":
    """The integers of `requests` or `think`, as a flat view of the file."""
    path = folder / name
    if not path.stat().st_size:
        return memoryview(array("q")).cast("b").cast("q")
    with path.open("rb") as file:
        return memoryview(mmap(file.fileno(), 0, access=ACCESS_READ)).cast("q")


def flat(rows: Iterable[Iterable[int]]) -> "array[int]":
    """Rows of integers, one after the other."""
    found = array("q")
    for row in rows:
        found.extend(row)
    return found
