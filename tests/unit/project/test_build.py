"""The build of the C: what it exports to Python, and what it says where it cannot work."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

import datapath
from datapath import build

ROOT = Path(__file__).parents[3]
PROGRAMS = {
    *("lackey", "launch", "launcher", "terminal"),
    *("mpipe", "mcat", "mtee", "maggr", "mmerge", "mpartition", "msort", "msplit"),
}


def test_every_program_has_a_source_and_is_built():
    assert {program.stem for program in build.programs()} == PROGRAMS
    for name in PROGRAMS:
        assert os.access(datapath.libexec(name), os.X_OK)


INTERPRETER = 3  # PT_INTERP: the segment that names a dynamic linker


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_programs_need_no_dynamic_linker(name: str):
    image = datapath.libexec(name).read_bytes()
    assert image[:5] == b"\x7fELF\x02"
    offset, size, count = struct.unpack_from("=Q14xHH", image, 32)
    kinds = [struct.unpack_from("=I", image, offset + index * size)[0] for index in range(count)]
    assert 1 in kinds  # PT_LOAD: we do read the table
    assert INTERPRETER not in kinds


def test_the_library_for_bash_needs_no_other():
    shown = subprocess.run(
        ["readelf", "-d", datapath.libexec("prefork.so")], capture_output=True, text=True, check=True
    )
    assert "NEEDED" not in shown.stdout
    assert "BIND_NOW" in shown.stdout


def test_a_program_that_was_not_built_is_named():
    with pytest.raises(FileNotFoundError, match=r"libexec/nothing is missing: build the package first"):
        datapath.libexec("nothing")


def test_what_headers_export_is_all_that_python_may_call():
    assert "int pass_send(" in build.declarations()
    assert "rootfs_build" not in build.declarations()
    assert "#" not in build.declarations()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the build reads."""
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "README.md").touch()
    for folder in ("datapath",):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.so", "libexec", "__pycache__")
        )
    return tmp_path


def setup(tree: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    return subprocess.run(
        command, cwd=tree, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_without_a_compiler_the_build_ends_with_one_sentence(tree: Path, tmp_path: Path):
    done = setup(tree, PATH="/nowhere", CC="")
    sentence = "no C compiler found (tried cc, gcc, clang; install gcc or set CC)"
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"remora: cannot build datapath: {sentence}"
    assert "Traceback" not in done.stderr


def test_a_compiler_that_does_not_exist_is_named(tree: Path):
    done = setup(tree, CC="no-such-cc")
    assert done.stderr.splitlines()[-1] == (
        "remora: cannot build datapath: no C compiler found (CC is 'no-such-cc', which is no program)"
    )


def test_missing_headers_of_python_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(build.BuildError, match=r"Python\.h is missing"):
        build.require_headers(["cc"])


def test_a_missing_static_library_is_named(tmp_path: Path):
    fake = tmp_path / "cc"
    fake.write_text("#!/bin/sh\necho libc.a\n")  # what gcc says when it has none
    fake.chmod(0o755)
    with pytest.raises(build.BuildError, match=r"static C library libc\.a is missing"):
        build.require_headers([str(fake)])


def test_the_environment_chooses_the_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", "gcc -m64")
    assert build.compiler() == ["gcc", "-m64"]


def test_a_warning_fails_the_build_and_says_where(tmp_path: Path):
    (tmp_path / "bad.c").write_text("int f(void) { int unused; return 0; }\n")
    with pytest.raises(build.BuildError, match=r"unused variable"):
        build.objects(build.compiler(), [tmp_path / "bad.c"], tmp_path / "out")
    assert not (tmp_path / "out" / "bad.o").exists()


def test_what_is_up_to_date_is_not_built_again(tmp_path: Path):
    source = tmp_path / "good.c"
    source.write_text("int f(void);\nint f(void) { return 0; }\n")
    [made] = build.objects(build.compiler(), [source], tmp_path / "out")
    before = made.stat().st_mtime_ns
    build.objects(build.compiler(), [source], tmp_path / "out")
    assert made.stat().st_mtime_ns == before
    os.utime(source, ns=(time.time_ns(), time.time_ns()))
    build.objects(build.compiler(), [source], tmp_path / "out")
    assert made.stat().st_mtime_ns > before
