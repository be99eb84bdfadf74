"""Programs are compiled when they are not yet there, and only then."""

import shutil
import stat
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from iosim.errors import IosimError
from iosim.real import compiler

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, compiler.COMPILERS)), reason="there is no C compiler"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own, and the compiler that is usual."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "cache" / "iosim"


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """A program of two files and a header, which says 42."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "a.c").write_text(
        '#include "h.h"\n#include <stdio.h>\nint main(void){printf("%d", f() + H);return 0;}\n'
    )
    (folder / "b.c").write_text('#include "h.h"\nint f(void){return 40;}\n')
    (folder / "h.h").write_text("#define H 2\nint f(void);\n")
    return [folder / "a.c", folder / "b.c"]


def said(program: Path) -> str:
    """What `program` says."""
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout


def fake(folder: Path, name: str, script: str) -> Path:
    """A program in `folder`."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@needs_compiler
def test_a_program_is_compiled_once(sources: Sequence[Path], cache: Path) -> None:
    program = compiler.program("answer", sources)
    assert said(program) == "42"
    assert program.name == "answer"
    assert program.parent.parent == cache
    made = program.stat()
    assert compiler.program("answer", sources) == program
    assert program.stat() == made
    assert list(cache.rglob("*")) == [program.parent, program]


@needs_compiler
@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("b.c", '#include "h.h"\nint f(void){return 41;}\n', "43"),
        ("h.h", "#define H 3\nint f(void);\n", "43"),
    ],
)
def test_it_is_compiled_again_when_a_file_has_changed(
    sources: Sequence[Path], name: str, text: str, answer: str
) -> None:
    before = compiler.program("answer", sources)
    (sources[0].parent / name).write_text(text)
    after = compiler.program("answer", sources)
    assert after != before
    assert said(after) == answer


@needs_compiler
def test_another_version_of_the_compiler_compiles_again(
    sources: Sequence[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in (1, 2):
        real = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        script = f'[ "$1" = --version ] && echo {version} && exit; exec {real} "$@"'
        monkeypatch.setenv("CC", str(fake(tmp_path / "bin", "cc", script)))
        assert said(compiler.program("answer", sources)) == "42"
    assert len(list(compiler.cache().iterdir())) == 2


@needs_compiler
def test_several_may_compile_at_once(sources: Sequence[Path], cache: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        programs = set(pool.map(lambda _: compiler.program("answer", sources), range(4)))
    (program,) = programs
    assert said(program) == "42"
    assert list(cache.rglob("*")) == [program.parent, program]


@needs_compiler
def test_the_compilers_message_is_told(sources: Sequence[Path], cache: Path) -> None:
    sources[1].write_text("int f(void){return fourty;}\n")
    with pytest.raises(IosimError, match="fourty"):
        compiler.program("answer", sources)
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_without_a_compiler_it_says_so(
    sources: Sequence[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(IosimError, match=r"no C compiler found \(none of cc, gcc, clang\)"):
        compiler.program("answer", sources)


def test_cc_chooses_and_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m32")
    with pytest.raises(IosimError, match="CC=no-such-compiler is not there"):
        compiler.find_compiler()


def test_cc_may_have_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = fake(tmp_path / "bin", "mycc", "true")
    monkeypatch.setenv("CC", f"{path} -m64")
    assert compiler.find_compiler() == [str(path), "-m64"]


def test_the_first_compiler_that_is_there_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "bin", "clang", "true")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert compiler.find_compiler() == ["clang"]
    fake(tmp_path / "bin", "gcc", "true")
    assert compiler.find_compiler() == ["gcc"]


def test_a_cache_that_cannot_be_written_is_told(
    sources: Sequence[Path], cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", str(fake(tmp_path / "bin", "cc", "true")))
    cache.parent.write_text("a file")
    with pytest.raises(IosimError, match="Not a directory"):
        compiler.program("answer", sources)


def test_a_relative_cache_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compiler.cache() == tmp_path / ".cache" / "iosim"


@needs_compiler
def test_the_load_is_compiled_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = (*compiler.FLAGS, "-Wpedantic", "-Wshadow", "-Werror")
    monkeypatch.setattr(compiler, "FLAGS", strict)
    assert compiler.load().stat().st_mode & stat.S_IXUSR


def test_all_sources_of_the_load_are_there() -> None:
    for name in (*compiler.LOAD, *compiler.SHARED):
        assert (compiler.SOURCES / name).is_file()
