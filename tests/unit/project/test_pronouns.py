"""The count of vague pronouns, on small trees of code."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

found = spec_from_file_location("pronouns", Path(__file__).parents[3] / ".ci" / "pronouns.py")
assert found is not None
assert found.loader is not None
counter = module_from_spec(found)
found.loader.exec_module(counter)

PYTHON = '''\
"""Whoever reads this.

Nobody does.
"""

TEXT = "somebody"


def act():
    """Act for everybody."""
    return "nobody"  # whom
'''
C = """\
/*
 * act - for anybody.
 */
static const char text[] = "/* nobody */";
char quote = '"'; /* somebody */
"""


def test_comments_and_docstrings_of_python_count_with_their_lines(tmp_path):
    path = tmp_path / "room.py"
    path.write_text(PYTHON)
    places = [place.removeprefix(f"{path}:") for place in counter.pronouns(path)]
    assert sorted(places) == ["10: everybody", "11: whom", "1: Whoever", "3: Nobody"]


def test_comments_of_c_count_and_its_strings_do_not(tmp_path):
    path = tmp_path / "room.c"
    path.write_text(C)
    assert counter.pronouns(path) == [f"{path}:2: anybody", f"{path}:5: somebody"]


@pytest.mark.parametrize(("pronouns", "status"), [(2, 0), (3, 1)])
def test_a_room_may_have_twenty_in_ten_thousand_lines(tmp_path, capsys, pronouns, status):
    (tmp_path / "room").mkdir()
    lines = ["# nobody"] * pronouns + ["pass"] * (1000 - pronouns)
    (tmp_path / "room" / "module.py").write_text("\n".join(lines) + "\n")
    assert counter.main(tmp_path, ["room"]) == status
    assert ("room has 3 in 1000 lines" in capsys.readouterr().err) == bool(status)


def test_a_room_that_was_moved_is_named(tmp_path, capsys):
    assert counter.main(tmp_path, ["gone"]) == 1
    assert f"{tmp_path}/gone has no code" in capsys.readouterr().err
