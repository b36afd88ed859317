"""Builds the C of `datapath` and the manual as parts of the package; everything else is in pyproject.toml."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, str(Path(__file__).parent))
from datapath import PREFORK, build

GLUE = "build/_core.c"


class BuildDatapath(build_ext):
    """Objects first, then the extension around them, then the executables beside it."""

    def run(self) -> None:
        try:
            cc = build.compiler()
            build.require_headers(cc)
            os.environ["CC"] = " ".join(cc)  # setuptools compiles and links the glue with the same compiler
            scratch = Path(self.build_temp)
            core = build.objects(cc, build.sources(), scratch / "src")
            build.write_glue(Path(GLUE))
            self.extensions[0].extra_objects = [str(part) for part in core]
            self.extensions[0].extra_compile_args = build.checked(tuple(cc))
            self.extensions[0].extra_link_args = build.SEALED
            self.extensions[0].depends = [str(part) for part in [*core, *build.headers()]]
            super().run()
            build.executables(cc, core, scratch, self.libexec())
            build.loadables(cc, scratch / "loadable", self.libexec())
        except build.BuildError as why:
            raise SystemExit(f"remora: cannot build datapath: {why}") from None
        self.make_manual(Path(self.build_temp) / "man1")

    def make_manual(self, directory: Path) -> None:
        """The pages of what was just built: commands and executables say themselves what they do."""
        words = ["man", "--dir", str(directory.parent.absolute())]
        environ = {**os.environ, "PYTHONPATH": str(self.root().absolute())}
        program = f"import sys; sys.argv[1:] = {words}; from cli.main import remora; remora()"
        subprocess.run([sys.executable, "-c", program], check=True, env=environ, cwd=self.root())
        self.distribution.data_files = [("share/man/man1", sorted(map(str, directory.glob("*.1"))))]

    def root(self) -> Path:
        return Path() if self.inplace else Path(self.build_lib)

    def libexec(self) -> Path:
        return self.root() / "datapath" / "libexec"

    def get_outputs(self) -> list[str]:
        built = [*(program.stem for program in build.programs()), *PREFORK]
        return [*super().get_outputs(), *(str(self.libexec() / name) for name in built)]


setup(
    ext_modules=[Extension("datapath._core", [GLUE], include_dirs=["datapath/include"], libraries=["m"])],
    cmdclass={"build_ext": BuildDatapath},
)
