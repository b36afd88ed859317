"""The commands as a script in a task uses them, against the real service, with no key."""

from __future__ import annotations

import pytest

from tests.support.services.user import User


@pytest.fixture(scope="module")
def item(user: User) -> str:
    return user.put("item", b"item\n")


def run(user: User, item: str, script: str) -> list[str]:
    """What the script printed, stderr included; it must end well."""
    ended = user.run(f"exec 2>&1; set -e\n{script}", inputs=[item])
    (text,) = user.texts(ended)
    assert ended.errors == [], text
    return text.splitlines()


def test_objects_are_listed_stored_read_linked_and_removed(user: User, item: str) -> None:
    script = """
        mmkdir ~~/stor/made
        echo one | mput -q ~~/stor/made/one; mput -qf /etc/hostname ~~/stor/made/host
        mln ~~/stor/made/one '~~/stor/made/t w o'
        mls ~~/stor/made; mget -q '~~/stor/made/t w o' "$MANTA_INPUT_OBJECT"
        minfo ~~/stor/made/one | grep -i '^content-length'
        mfind -t o -n one ~~/stor/made
        mrm '~~/stor/made/t w o'; mrm -r ~~/stor/made; mls ~~/stor/made || echo gone
    """
    said = run(user, item, script)
    assert said[:5] == ["host", "one", "t w o", "one", "item"]
    assert said[5].lower() == "content-length: 4"
    assert said[6] == user.path("made/one")
    assert said[-1] == "gone" and not user.exists("made")


def test_a_task_looks_at_its_own_job_and_makes_another(user: User, item: str) -> None:
    script = """
        mjob inputs $MANTA_JOB_ID
        mjob get $MANTA_JOB_ID | grep -c '"state": "running"'
        mjob create -q -n child wc < /dev/null
    """
    said = run(user, item, script)
    assert said[:2] == [item, "1"]
    assert user.ended(said[2]).status["name"] == "child"


def test_what_others_have_stays_out_of_reach(user: User, item: str) -> None:
    said = run(user, item, "mget -q /somebody/stor/x || echo no; mput -qf /etc/hostname /somebody/stor/x || echo no")
    assert [line for line in said if line == "no"] == ["no", "no"]
    assert sum("Error" in line or "NotExist" in line for line in said) == 2
