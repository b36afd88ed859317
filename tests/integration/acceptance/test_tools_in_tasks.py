"""msplit and maggr in tasks of the real service: what needs a helper, or another program, of the instance."""

from __future__ import annotations

import pytest

from tests.support.services.user import User, reduce

LINES = b"".join(b'{"id":"%d-x","n":%d}\n' % (number % 5, number) for number in range(1000))
NUMBERS = r"""sed 's/.*"id":"\(.\)-x","n":\([0-9]*\)}/\1 \2/'"""


@pytest.fixture(scope="module")
def lines(user: User) -> str:
    return user.put("lines.json", LINES)


@pytest.mark.parametrize(
    "keys", ["-j -f id", "-z -j -f id", "-j -e 'this.id.split(\"-\")[0]'", "-z -e 'line.slice(7, 8)'"]
)
def test_lines_of_a_key_meet_in_one_reducer(user: User, lines: str, keys: str) -> None:
    unpack = "gunzip" if "-z" in keys else "cat"
    sums = f"{unpack} | {NUMBERS} | maggr -c1=key count,sum"
    ended = user.run(f"msplit -n 2 {keys}", reduce(sums, count=2), inputs=[lines])
    assert ended.errors == []
    said = sorted(line for text in user.texts(ended) for line in text.splitlines())
    assert said == [f"{key} 200,{sum(range(key, 1000, 5))}" for key in range(5)]


def test_a_task_whose_script_fails_has_no_outputs(user: User, lines: str) -> None:
    ended = user.run("msplit -n 2 -e 'line.no.such'", reduce("cat", count=2), inputs=[lines])
    assert ended.error["code"] == "UserTaskError"
    assert user.get(ended.error["stderr"]).startswith(b"msplit: TypeError: cannot read property 'such' of undefined")
