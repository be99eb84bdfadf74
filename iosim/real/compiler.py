"""Compiles the programs in `native/` on first use, with the C compiler that is found.

A program is kept in the user's cache, under a name made of its sources, the flags and the
compiler's version: it is compiled again when one of them has changed.

    load     load.c and what it is made of
    server   all other files

Validated by: tests/real/test_compiler.py
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from iosim.errors import IosimError

SOURCES: Final = Path(__file__).with_name("native")
LOAD: Final = ("load.c", "clients.c", "connections.c", "devices.c", "heap.c")
SHARED: Final = ("plan.c",)
FLAGS: Final = ("-std=c11", "-O2", "-pthread", "-Wall", "-Wextra")
COMPILERS: Final = ("cc", "gcc", "clang")


class CannotCompile(IosimError):
    """There is no C compiler, or it refuses."""


def load() -> Path:
    """The load generator's program."""
    return program("load", [SOURCES / name for name in (*LOAD, *SHARED)])


def server() -> Path:
    """The servers' program."""
    return program("server", sorted(set(SOURCES.glob("*.c")) - {SOURCES / name for name in LOAD}))


def program(name: str, sources: Sequence[Path]) -> Path:
    """The program made of `sources` and the headers beside them, compiled if it is not yet."""
    compiler = find_compiler()
    headers = sorted({header for source in sources for header in source.parent.glob("*.h")})
    digest = sha256(repr((compiler, _version(compiler), FLAGS)).encode())
    for path in (*sources, *headers):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    found = cache() / digest.hexdigest()[:32] / name
    if not found.exists():
        _compile(compiler, sources, found)
    return found


def find_compiler() -> list[str]:
    """The command of the C compiler: $CC, or the first of `COMPILERS` that there is."""
    chosen = shlex.split(os.environ.get("CC", ""))
    for command in [chosen] if chosen else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    wanted = f"CC={chosen[0]} is not there" if chosen else f"none of {', '.join(COMPILERS)}"
    raise CannotCompile(f"no C compiler found ({wanted}); the runtime cpython needs none")


def cache() -> Path:
    """The folder of compiled programs: iosim in $XDG_CACHE_HOME, or in ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "iosim"


def _version(compiler: Sequence[str]) -> str:
    return _run([*compiler, "--version"]).stdout


def _compile(compiler: Sequence[str], sources: Sequence[Path], found: Path) -> None:
    try:
        found.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, and renamed when it is whole: another process may be at it as well.
        with tempfile.TemporaryDirectory(dir=found.parent, prefix=".") as folder:
            made = Path(folder, found.name)
            result = _run([*compiler, *FLAGS, "-o", str(made), *map(str, sources)])
            if result.returncode:
                raise CannotCompile(f"{shlex.join(compiler)} fails:\n{result.stderr.strip()}")
            made.rename(found)
    except OSError as error:
        raise CannotCompile(f"{found}: {error.strerror}") from error


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CannotCompile(f"{command[0]}: {error.strerror}") from error
