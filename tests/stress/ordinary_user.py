"""The tests as an ordinary user, in a fresh clone, on the system's own Python.

    python tests/stress/ordinary_user.py [words for pytest ...]

A user is made for it and removed afterwards, so this wants root. What is tested is the last commit.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.fresh_user import fresh_user


def main(words: list[str]) -> int:
    with fresh_user() as user:
        return user.run("./dev", "setup", cwd=user.clone) or user.run("./dev", "test", *words, cwd=user.clone)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
