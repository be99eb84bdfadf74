"""The documentation does what it says: each block runs, each command works, each path exists.

README.md and all of docs/ are read, but for what a build makes from the code. Commands and blocks
run in order in a folder of their own, with copies of the shipped scenarios, all durations cut to a
few milliseconds. A page that adds a plug-in has its commands and scenario run by an interpreter
that finds it. A block after the comment `<!-- not run: WHY -->` is not run.
"""

import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from iosim import plugins, simulation
from iosim.cli import app
from iosim.errors import PluginError
from iosim.handler import Jobs, Server
from iosim.machine.kernel import Kernel
from iosim.plugins import kinds
from iosim.profile import load as load_profile
from iosim.scenario import Scenario, load

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    if not {"_build", "reference"} & set(path.relative_to(ROOT).parts)  # made by a build
}
ADDS_A_PLUG_IN = "docs/how-to/add-an-io-model.md"
ENDS_WELL = {0, 3, 4}
"""A few milliseconds leave objectives failed or undecided; they are no errors."""


@dataclass(frozen=True)
class Block:
    """A fenced or indented block of code."""

    language: str
    text: str
    line: int
    run: bool = True


def excused(above: list[str]) -> bool:
    """Whether the last line above a block excuses it from being run."""
    last = next((line for line in reversed(above) if line.strip()), "")
    if not last.startswith("<!-- not run"):
        return False
    assert re.fullmatch(r"<!-- not run: \S.* -->", last), last
    return True


@cache
def blocks(page: str) -> list[Block]:
    found: list[Block] = []
    lines = PAGES[page].read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        if line.startswith("```"):
            end = lines.index("```", number + 1)
            found.append(
                Block(
                    line[3:].strip(),
                    "\n".join(lines[number + 1 : end]) + "\n",
                    number + 1,
                    not excused(lines[:number]),
                )
            )
            number = end
        elif line.startswith("    ") and not lines[number - 1].strip():
            end = number
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            text = "\n".join(each[4:] for each in lines[number:end]).strip("\n")
            found.append(Block("sh", text + "\n", number + 1, not excused(lines[:number])))
            number = end - 1
        number += 1
    return found


@cache
def prose(page: str) -> str:
    """A page without its fenced blocks."""
    text = PAGES[page].read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def inline(page: str) -> list[str]:
    """What stands between backticks."""
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page))]


def of_language(*languages: str) -> list[tuple[str, int]]:
    return [
        (page, index)
        for page in PAGES
        for index, block in enumerate(blocks(page))
        if block.run and block.language in languages
    ]


def shortened(text: str) -> str:
    """A scenario's text, its run cut short; to show few errors takes many requests."""
    text = re.sub(r"\berrors < 0[.0-9]*%", "errors < 5%", text)
    text = re.sub(r"\bduration: [0-9.]+ ?[a-z]+", "duration: 5ms", text)
    return re.sub(r"\breplications: [0-9]+", "replications: 2", text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the shipped scenarios, cut short, in which the documentation is tried."""
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "docs" / "topics").mkdir(parents=True)  # where pages are written to
    for path in (ROOT / "scenarios").glob("*.yaml"):
        text = shortened(path.read_text(encoding="utf-8"))
        (tmp_path / "scenarios" / path.name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(line: str) -> None:
    """Run one `iosim ...` line in this process."""
    arguments = shlex.split(line, comments=True)[1:]
    if arguments[:1] in (["run"], ["sweep"]):
        arguments += ["--set", "run.duration=5ms", "--jobs", "1"]
        if "--precision" not in arguments:
            arguments += ["--replications", "2"]
    if arguments[:1] in (["what-if"], ["rerun"]):
        arguments += ["--jobs", "1"]
    if "--sensitivity" in arguments:  # hundreds of runs
        arguments += ["--set", "run.duration=5ms"]
    if arguments[:1] == ["plan"]:
        # The median needs few responses.
        arguments = [word.replace("p99", "p50") for word in arguments]
        arguments += ["--set", "run.duration=5ms", "--replications", "3", "--budget", "3"]
        arguments += ["--jobs", "1"]
    if arguments[:1] == ["measure"]:
        if len(os.sched_getaffinity(0)) < 2:
            return  # the page says that it needs two cores
        # No compiler is needed for this.
        arguments += ["--set", "machine.runtime=cpython", "--load", "python"]
        arguments += ["--set", "run.duration=50ms", "--replications", "1"]
    if arguments[:1] == ["calibrate"]:  # ten minutes of two quiet cores
        Path("here.yaml").write_text(
            "name: here\ndescription: stands for one\nextends: reference\ncosts: {}\n"
        )
        return
    if arguments[:2] == ["profile", "diff"]:  # of those that are shipped, one is named beside it
        arguments = [word for word in arguments if word != "--scenarios"]
    if arguments[:1] == ["validate"]:
        arguments += ["--budget", "0"]  # hours, otherwise: that nothing is wrong with it must do
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in ENDS_WELL, f"{line}\n{result.stderr}"
    assert result.stdout or arguments[0] == "init", line


def commands(page: str) -> Iterator[str]:
    for block in blocks(page):
        if block.run and block.language in ("sh", "bash", "console", ""):
            for line in block.text.splitlines():
                if line.removeprefix("$ ").startswith("iosim "):
                    yield line.removeprefix("$ ")


def test_a_block_is_excused_by_a_comment_that_says_why() -> None:
    assert excused(["Text.", "<!-- not run: needs two quiet cores -->", ""])
    assert not excused(["<!-- not run: needs two quiet cores -->", "Text."])
    with pytest.raises(AssertionError):
        excused(["<!-- not run -->"])


def test_pages_are_found_and_read() -> None:
    assert "README.md" in PAGES
    assert [b.language for b in blocks("README.md")].count("yaml") == 3
    assert len(list(commands("README.md"))) > 5
    assert len(inline("README.md")) > 30


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    known = {"yaml", "python", "sh", "bash", "console", "text", "json", "toml", "{toctree}"}
    assert {block.language for block in blocks(page)} <= known


# ------------------------------------------------------------------------ what is executed


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(commands(page)) and page != ADDS_A_PLUG_IN]
)
def test_every_command_works(page: str, place: Path) -> None:
    for block in blocks(page):
        # A block that begins with a file's name is that file.
        if named := re.match(r"# (\w+\.yaml)\n", block.text):
            (place / named[1]).write_text(shortened(block.text).replace("p99 <", "p50 <"))
    for line in commands(page):
        call(line)


def readmes_own(place: Path) -> tuple[Path, Path]:
    """The README's scenario and its profile, as files."""
    yamls = [block.text for block in blocks("README.md") if block.language == "yaml"]
    scenario, profile = yamls[0], yamls[-1]
    (place / "readme.yaml").write_text(shortened(scenario))
    (place / "mine.yaml").write_text(profile)
    return place / "readme.yaml", place / "mine.yaml"


def test_every_option_between_backticks_works(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A few milliseconds cannot be precise, and need not.
    monkeypatch.setattr(simulation, "MOST_REPLICATIONS", 4)
    scenario, profile = readmes_own(place)
    tried = []
    for code in inline("README.md"):
        filled = code.replace("FILE", str(profile))
        if code == "--busy":
            call(f"iosim explain epoll {code}")
        elif code.startswith("--") and " " in code:
            call(f"iosim run {scenario} {filled}")
        elif code.startswith("iosim "):
            words = shlex.split(code)
            call(f"{filled} {scenario}" if words[1] == "run" and len(words) < 4 else filled)
        else:
            continue
        tried.append(code)
    assert {"--precision 5%@p99", "--set machine.cores=8", "iosim run --json"} <= set(tried)


@pytest.mark.parametrize(
    ("page", "index"), [each for each in of_language("yaml") if each[0] != ADDS_A_PLUG_IN]
)
def test_every_yaml_block_is_what_it_looks_like(page: str, index: int, place: Path) -> None:
    text = blocks(page)[index].text
    data = yaml.safe_load(text)
    path = place / "block.yaml"
    if "costs" in data:
        path.write_text(text)
        profile = load_profile(str(path))
        assert profile.name == data["name"]
        assert profile.costs != load_profile(data["extends"]).costs
        return
    assert set(data) <= set(Scenario.model_fields)
    # A part of a scenario is tried within a small one.
    whole = {"workload": {"open": {"rate": "1k/s"}}, "models": ["epoll"], **data}
    path.write_text(shortened(text) if whole == data else yaml.safe_dump(whole))
    scenario = load(path, {"run.duration": "5ms", "run.replications": "1"})
    results = simulation.simulate(scenario)
    assert [model.label for model in results.models if model.error] == []
    assert len(results.models) == len(scenario.models)


@pytest.mark.parametrize(("page", "index"), of_language("python"))
def test_every_python_block_runs(
    page: str, index: int, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    block = blocks(page)[index]
    exec(compile(block.text, f"{page}:{block.line}", "exec"), {"__name__": "__main__"})
    if "print(" in block.text:
        assert capsys.readouterr().out


# ------------------------------------------------------------------ the plug-in that is added


def test_the_plug_in_that_a_page_adds_works(tmp_path: Path) -> None:
    code = {block.language: block.text for block in blocks(ADDS_A_PLUG_IN)}
    project = tomllib.loads(code["toml"])["project"]
    ((group, ((name, module),)),) = (
        (group, tuple(named.items())) for group, named in project["entry-points"].items()
    )
    assert {f"{module}.py", "loops.yaml"} <= set(inline(ADDS_A_PLUG_IN))
    (tmp_path / f"{module}.py").write_text(code["python"])
    (tmp_path / "loops.yaml").write_text(shortened(code["yaml"]))
    # What installing such a package leaves behind.
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
    lines = list(commands(ADDS_A_PLUG_IN))
    assert {line.split()[1] for line in lines} == {"list", "explain", "run"}
    for line in lines:
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(line)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(tmp_path)))},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert name in done.stdout
        if line.split()[1] == "run":
            assert "four loops" in done.stdout
            assert "No result" not in done.stdout


def test_the_calls_that_a_page_lists_are_there() -> None:
    homes = {"kernel": Kernel, "server": Server}
    found = []
    for code in inline(ADDS_A_PLUG_IN):
        if match := re.fullmatch(r"(kernel|server)\.(\w+)(?:\(([^)]*)\))?", code):
            home, attribute, parameters = match.groups()
            fields = getattr(homes[home], "__dataclass_fields__", {})
            assert attribute in fields or hasattr(homes[home], attribute), code
            if parameters:
                known = [*inspect.signature(getattr(homes[home], attribute)).parameters]
                assert set(parameters.split(", ")) <= set(known), code
            found.append(attribute)
    assert {"accept4", "recvfrom", "sendto", "epoll_wait", "listener"} <= set(found)
    for name in ("on_readable", "timeout_ns", "run_due"):
        assert hasattr(Jobs, name)


# ------------------------------------------------------------------------ what is named


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            assert re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/[\w.~%+/#?=&-]*)?", target), target
        else:
            path, _, anchor = target.partition("#")
            file = (PAGES[page].parent / path).resolve() if path else PAGES[page]
            assert file.exists(), target
            if anchor:
                heads = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
                slugs = [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads]
                assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES)
def test_every_path_exists(page: str) -> None:
    shown = [
        word for block in blocks(page) if block.language == "sh" for word in block.text.split()
    ]
    ours = {path.name for path in ROOT.iterdir()}
    for word in [*inline(page), *shown]:
        path = word.removesuffix("/")
        first = path.split("/")[0]
        if "/" in word and first in ours and re.fullmatch(r"[\w./*-]+", path):
            # NAME stands for a file that the reader writes.
            assert list(ROOT.glob(path.replace("NAME", "*"))), word
        elif re.fullmatch(r"test_\w+\.py", word):
            assert list((ROOT / "tests").rglob(word)), word


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_python_exists(page: str) -> None:
    for code in inline(page):
        if re.fullmatch(r"iosim(\.[A-Za-z_]+)+", code):
            module, *rest = code.split(".")
            for name in rest:
                found = importlib.import_module(module)
                if not hasattr(found, name):
                    importlib.import_module(f"{module}.{name}")
                module = f"{module}.{name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_exists(page: str) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = "\n".join(block.text for block in blocks(page) if block.language == "sh")
    for code in [*inline(page), *shown.splitlines()]:
        if match := re.match(r"make (\w+)", code):
            assert match[1] in targets, code


# ------------------------------------------------------------------------ what the README lists


def table(page: str, head: str) -> list[list[str]]:
    """The rows of the table that begins with `head`."""
    _, _, rest = prose(page).partition(f"\n{head}\n|---")
    assert rest, head
    rows = []
    for line in rest.splitlines()[1:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_table_of_scenarios_names_them_all() -> None:
    listed = [row[0].strip("`") for row in table("README.md", "| scenario | shows |")]
    assert sorted(listed) == sorted(path.stem for path in (ROOT / "scenarios").glob("*.yaml"))


def test_the_table_of_tests_names_folders_with_tests() -> None:
    for row in table("README.md", "| tests | hold the simulator against |"):
        assert list((ROOT / row[0].strip("`")).glob("test_*.py")), row


PLUG_INS = table("README.md", "| to add | write | it needs |")


def test_the_table_of_plug_ins_names_every_folder() -> None:
    folders = [re.sub(r"`iosim/(\w+)/NAME\.py`", r"\1", row[1]) for row in PLUG_INS]
    assert sorted(folders) == sorted(plugins.NEEDS)


@pytest.mark.parametrize("row", PLUG_INS, ids=[row[0] for row in PLUG_INS])
def test_what_a_plug_in_needs_is_what_is_asked_for(row: list[str]) -> None:
    folder = row[1].split("/")[1]
    needs = re.findall(r"`(\w+)(?:\(([^)]*)\))?`", row[2])
    named = {name for name, _ in needs}
    assert set(plugins.NEEDS[folder]) <= named
    for name, parameters in needs:
        having = [module for module in kinds(folder).values() if hasattr(module, name)]
        assert having, name
        if parameters:
            signatures = [[*inspect.signature(getattr(m, name)).parameters] for m in having]
            assert parameters.split(", ") in signatures


@pytest.mark.parametrize("row", PLUG_INS, ids=[row[0] for row in PLUG_INS])
def test_a_plug_in_without_what_it_needs_is_refused(
    row: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = row[1].split("/")[1]
    for name in re.findall(r"`(\w+)", row[2]):
        module = next(
            module
            for module in kinds(folder).values()
            # Its own, not imported for an annotation.
            if hasattr(module, name)
            and getattr(vars(module)[name], "__module__", module.__name__) == module.__name__
        )
        with monkeypatch.context() as patched:
            patched.delattr(module, name)
            with pytest.raises(PluginError, match=rf"lacks .*{name}"):
                kinds.__wrapped__(folder)
