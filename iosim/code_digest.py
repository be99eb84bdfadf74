"""Which code this is: versions do not change with every line of it.

Scope: the Python files of iosim; SimPy and numpy by their versions.
Not done: plug-ins of third parties.
Validated by: tests/studies/test_rerun.py, tests/studies/test_points.py
"""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path


@cache
def code_sha256() -> str:
    """The SHA-256 of iosim's Python files, by path and content."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


@cache
def simulator() -> str:
    """What makes numbers of a scenario, in one line: a key of kept results holds it."""
    return " ".join([code_sha256(), *(f"{name}={version(name)}" for name in ("simpy", "numpy"))])
