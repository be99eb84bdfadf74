"""The shipped scenarios: which there are, what each shows, and copies of them.

    names()                         ->  ("accept_imbalance", ..., "studies/order", ...)
    copy(["quickstart"], folder)    ->  [folder/quickstart.yaml]

A name is the file's path under the scenarios' folder, without its `.yaml`. What one shows stands
in its first comment. The files that it names (recorded arrivals) are copied with it; the line that
tells an editor where the schema is stays behind, as its path would be wrong.

Scope: an installed package has them in itself, a checkout beside it, in `scenarios/`.
Validated by: tests/cli/test_examples_command.py, tests/docs/test_wheel.py
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from iosim.errors import UsageError, did_you_mean, shown

_PACKAGE = Path(__file__).parent
_FOLDER = next(
    (each for each in (_PACKAGE / "_scenarios", _PACKAGE.parent / "scenarios") if each.is_dir()),
    _PACKAGE / "_scenarios",
)
_SCHEMA_LINE = re.compile(rb"\A# yaml-language-server:.*\n")


@dataclass(frozen=True)
class Example:
    """A shipped scenario: `shows` is the first sentence of its first comment."""

    name: str
    shows: str


def names() -> tuple[str, ...]:
    """The names of all shipped scenarios; those of studies last."""
    found = sorted(_FOLDER.rglob("*.yaml"), key=lambda path: (path.parent != _FOLDER, path))
    return tuple(path.relative_to(_FOLDER).with_suffix("").as_posix() for path in found)


def examples() -> tuple[Example, ...]:
    """All shipped scenarios, each with what it shows."""
    return tuple(Example(name, _shows(name)) for name in names())


def copy(wanted: Sequence[str], folder: Path, force: bool = False) -> list[Path]:
    """Copy scenarios into `folder`, all if none is named; return the scenarios' new paths.

    The folder is made if it is not there. What stands there stays unless `force`: then UsageError
    names every file at once, and nothing is copied. Raises UsageError of an unknown name, too.
    """
    chosen = _known(wanted)
    contents: dict[Path, bytes] = {}
    copied = []
    for name in chosen:
        source, target = _FOLDER / f"{name}.yaml", folder / f"{name}.yaml"
        copied.append(target)
        contents[target] = _SCHEMA_LINE.sub(b"", source.read_bytes())
        for file in _files_beside(source):
            contents[target.parent / file] = (source.parent / file).read_bytes()
    in_the_way = [path for path in contents if path.exists()]
    if in_the_way and not force:
        raise UsageError(
            "\n".join(f"{path} exists already (--force overwrites it)" for path in in_the_way)
        )
    from iosim.report.export import write_atomically

    try:
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
    except OSError as error:
        raise UsageError(f"{folder}: expected a folder to write to ({error.strerror})") from error
    return copied


def _known(wanted: Sequence[str]) -> tuple[str, ...]:
    known = names()
    if not wanted:
        return known
    problems = []
    for name in wanted:
        if name not in known:
            hint = did_you_mean(name, known)
            problems.append(
                f"expected a shipped scenario (iosim examples lists them), found {shown(name)}"
                + (f"; {hint}" if hint else "")
            )
    if problems:
        raise UsageError("\n".join(problems))
    return tuple(dict.fromkeys(wanted))


def _files_beside(scenario: Path) -> list[str]:
    """The recorded arrivals and times that a scenario names."""
    return re.findall(r"\bfile: ([\w./-]+)", scenario.read_text(encoding="utf-8"))


def _shows(name: str) -> str:
    text = (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    comments = []
    for line in text.splitlines():
        if line.startswith("# yaml-language-server"):
            continue
        if not line.startswith("#") or line.startswith("# Command:"):
            break
        comments.append(line.removeprefix("#").strip())
    whole = " ".join(comments).removeprefix("Question: ")
    return re.split(r"(?<=[.?!:]) ", whole, maxsplit=1)[0].removesuffix(":")
