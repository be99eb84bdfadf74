"""Which code this is: versions do not change with every line of it.

Scope: the Python files of iosim. Not done: plug-ins of third parties.
Validated by: tests/studies/test_rerun.py
"""

import hashlib
from functools import cache
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
