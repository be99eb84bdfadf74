"""A process and those that it has started.

Validated by: tests/real/test_threads.py
"""

from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """`pid`, its children, theirs, and so on."""
    found = [pid]
    for each in found:
        with suppress(OSError):  # it may have ended
            for task in Path(f"/proc/{each}/task").iterdir():
                with suppress(OSError):
                    found += map(int, (task / "children").read_text().split())
    return found
