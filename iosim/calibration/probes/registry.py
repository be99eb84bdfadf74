"""What a probe is, and the list of all of them.

A probe is a small function, in Python or in C, whose text says what it measures and what it
leaves out. It runs in a process of its own that is pinned to a core, and gives one figure or
several that come from the same round:

    @probe("epoll.poll|n={0};k={1}", arguments=[(10, 1), (100, 1)])
    def poll_ready(place: Place, n: int, k: int) -> Series:
        \"\"\"One wait that finds k of n descriptors ready. Leaves out sleeping.\"\"\"

    native("tcp_loopback", "tcp_lo_send|{0}B", "tcp_lo_recv|{0}B", arguments=[(64,), (4096,)])

Figures have the names of a profile's `rows`: `py epoll.poll n=10;k=1` is the first of these.

Validated by: tests/calibration/test_probes.py
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Concatenate, Final, ParamSpec

from iosim.errors import IosimError

FAMILIES: Final = (
    "syscalls",
    "sockets",
    "readiness",
    "threads",
    "wake_ups",
    "echo",
    "caches",
    "signals",
    "aio",
    "timers",
    "coroutines",
    "asyncio_loop",
    "uvloop_loop",
    "interpreter",
    "io_uring",
)
"""The modules of this package that have probes, in the order in which they run."""


class Impossible(IosimError):
    """A probe that cannot be made here, and why; raised by its function."""


Series = list[list[float]]
"""Samples, for each figure of a probe."""
Figure = tuple[str, str]
"""Name and parameter."""
Arguments = ParamSpec("Arguments")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a probe runs, and for how long."""

    server_cpu: int
    """What is measured is pinned to it."""
    other_cpu: int
    """The other side, where there is one: the same core if there is but one."""
    samples: int
    """That each figure is to have."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A function with its arguments."""

    lang: str
    """`c` or `py`."""
    family: str
    function: str
    arguments: tuple[int, ...]
    figures: tuple[Figure, ...]
    samples: int
    """Of each figure in a pass."""
    needs: frozenset[str]
    """Of the machine: see `needs.py`."""
    quick: bool
    """Whether a quick calibration has it, too."""
    unit: str = "ns"

    def __str__(self) -> str:
        """What it is called where a person reads it."""
        given = f"({', '.join(map(str, self.arguments))})" if self.arguments else ""
        return f"{self.lang} {self.function}{given}"


def catalogue() -> list[Probe]:
    """Every probe, family by family."""
    modules = [f"{__package__}.{family}" for family in FAMILIES]
    for module in modules:
        import_module(module)
    return [each for module in modules for each in _BY_MODULE[module]]


def probe(
    *figures: str,
    samples: int = 60,
    arguments: Iterable[tuple[int, ...]] = ((),),
    needs: Iterable[str] = (),
    quick: bool = True,
) -> Callable[
    [Callable[Concatenate[Place, Arguments], Series]],
    Callable[Concatenate[Place, Arguments], Series],
]:
    """Let the function below be a probe in Python, once for each of `arguments`.

    `figures`: as `name|param`, in which `{0}` is the first argument. The function is given its
    place and arguments, and gives the samples of each figure.
    """

    def found(
        function: Callable[Concatenate[Place, Arguments], Series],
    ) -> Callable[Concatenate[Place, Arguments], Series]:
        _add(
            "py", function.__module__, function.__name__, figures, samples, arguments, needs, quick
        )
        return function

    return found


def native(
    module: str,
    function: str,
    *figures: str,
    samples: int = 100,
    arguments: Iterable[tuple[int, ...]] = ((),),
    needs: Iterable[str] = (),
    quick: bool = True,
) -> None:
    """Let PROBE(`function`) of `native/` be a probe of the family `module`, as `probe` does."""
    _add("c", module, function, figures, samples, arguments, {"compiler", *needs}, quick)


def _add(
    lang: str,
    module: str,
    function: str,
    figures: Sequence[str],
    samples: int,
    arguments: Iterable[tuple[int, ...]],
    needs: Iterable[str],
    quick: bool,
) -> None:
    for given in arguments:
        named = tuple(_figure(text.format(*given)) for text in figures)
        _BY_MODULE.setdefault(module, []).append(
            Probe(
                lang,
                module.rpartition(".")[2],
                function,
                given,
                named,
                samples,
                frozenset(needs),
                quick,
            )
        )


def _figure(text: str) -> Figure:
    name, _, param = text.partition("|")
    return name, param


_BY_MODULE: dict[str, list[Probe]] = {}
