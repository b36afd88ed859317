"""A wheel built from the tree does the main job in an environment that has never seen the tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from tests.support.variants import thorough

ROOT = Path(__file__).parents[3]
PARTS = (
    "scheduler",
    "datapath",
    "cli",
    "jobspecs",
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)


@thorough
def test_a_wheel_works_outside_the_tree(tmp_path: Path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("*.so", "*.o", "libexec", "*.pyc"))
        elif (ROOT / part).exists():
            shutil.copy(ROOT / part, tree)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    flags = ["--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "wheel", *flags, "-w", str(tmp_path), str(tree)], check=True, cwd=tmp_path)
    shutil.rmtree(tree)
    (wheel,) = tmp_path.glob("remora-*.whl")
    assert "linux" in wheel.name, "a wheel with programs in it is for one platform"

    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([*pip, "--python", str(python), "install", *flags, str(wheel)], check=True, cwd=tmp_path)
    # The dependencies are lent, not downloaded; the tree itself is not on this path.
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": sysconfig.get_path("purelib")}
    where = "import scheduler, sys; sys.exit(not scheduler.__file__.startswith(sys.prefix))"
    subprocess.run([str(python), "-c", where], check=True, env=env, cwd="/")
    assert (tmp_path / "env/share/man/man1/mjob-create.1").read_text().startswith(".TH")
    assert list((tmp_path / "env").glob("lib/python*/site-packages/remora-*.dist-info/licenses/LICENSE"))
    assert not (tmp_path / "env/bin/mkey").exists()
    demo = subprocess.run(
        [str(tmp_path / "env" / "bin" / "remora"), "demo"],
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert demo.returncode == 0, demo.stderr
    assert demo.stdout.rstrip().endswith("the job and the local pipeline are equal")
