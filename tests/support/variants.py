"""Variants of one case: the default run tries the first of them, and `.ci/run` the others, too.

    @pytest.mark.parametrize("kind", variants(JOBS))

For variants that each start several programs. What is quick, or differs in kind, is always tried.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

thorough = pytest.mark.thorough


def variants(cases: Iterable[Any], by_default: int = 1) -> list[Any]:
    """The cases as parameters, those after the first `by_default` marked as thorough."""
    return [
        case if n < by_default else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=thorough)
        for n, case in enumerate(cases)
    ]
