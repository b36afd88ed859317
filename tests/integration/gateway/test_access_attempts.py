"""Each of the attempts at a private object of jill's fails, and is answered as the list says (`access_attempts`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.hostile.access_attempts import COMMANDS, CONTROLS, DENIED, HTTP, INSIDE, RUNS
from tests.support.machine import needs_curl
from tests.support.services.accounts import SECRET, Answer, World, two_accounts
from tests.support.services.user import Ended


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with two_accounts(tmp_path_factory.mktemp("access")) as world:
        yield world


@pytest.fixture(autouse=True)
def nothing_of_hers_changes(world: World) -> Iterator[None]:
    before = world.hers()
    yield
    assert world.hers() == before


def each(table: list[Any]) -> Any:
    return pytest.mark.parametrize(("attempt", "expected"), [pytest.param(*row[1:], id=row[0]) for row in table])


@each(CONTROLS)
def test_who_may_is_let_in(world: World, attempt: Callable[[World], Answer], expected: Answer) -> None:
    assert attempt(world) == expected


@each(HTTP)
def test_by_http_he_is_refused(world: World, attempt: Callable[[World], Answer], expected: Answer) -> None:
    assert attempt(world) == expected


@each(RUNS)
def test_in_a_job_the_error_says_so(world: World, attempt: Callable[[World], Ended], expected: Answer) -> None:
    ended = attempt(world)
    code, message = expected
    message = str(message).replace("{done}", world.done.job).replace("{output}", world.done.outputs[0])
    assert (ended.error["code"], ended.error["message"]) == (code, message)
    assert "".join(world.bob.texts(ended)) == ""
    if code == "UserTaskError":
        assert b"bob is not allowed to access /jill/stor/" in world.bob.get(ended.error["stderr"])


def test_an_output_by_reference_is_a_name_and_opens_nothing(world: World) -> None:
    ended = world.run(f"mcat {SECRET}", inputs=["/bob/stor/a"])
    assert (ended.errors, ended.outputs) == ([], [SECRET])
    assert world.ask("GET", ended.outputs[0]) == DENIED


def said_in_a_task(world: World, script: str) -> str:
    """What a script prints in a task of bob's; a stream that it tries, even in vain, takes the place of stdout."""
    saved = f"{{\n{script}}} > said; mtee /bob/stor/said < said > /dev/null"
    assert world.run(saved, inputs=["/bob/stor/a"]).errors == []
    return world.bob.get("said").decode()


@needs_curl
@pytest.mark.parametrize("path", ["jill/stor/secret", "/jill//stor/s%65cret"])
def test_an_output_by_reference_is_denied_to_the_next_phase(world: World, path: str) -> None:
    refer = f"curl -sSf -X PUT -H 'x-manta-reference: true' ${{MANTA_URL}}{path}"
    ended = world.run(refer, "cat", inputs=["/bob/stor/a"])
    assert (ended.error["code"], ended.error["message"]) == ("AuthorizationError", f'permission denied: "{SECRET}"')
    assert (ended.error["phase"], ended.outputs) == ("1", [])


@pytest.fixture(scope="module")
def answered(world: World) -> list[Answer]:
    """What a task of bob's was answered, in the order of `INSIDE`."""
    spent = world.token("jill", world.done.job)["Authorization"]
    url = world.service.url
    facts = {"spent": spent, "live": world.live, "door": world.door, "url": url, "port": url.rpartition(":")[2]}
    asked = [words.format(**facts) for _, words, _ in INSIDE]
    ask = "".join(f"echo > body; curl -sS -o body -w '%{{http_code}} ' {words}; cat body; echo\n" for words in asked)
    lines = said_in_a_task(world, f"U=${{MANTA_URL%/}}\n{ask}").splitlines()
    answers = [line.partition(" ") for line in lines if line]
    return [(int(status), json.loads(body)["code"] if int(status) >= 400 else "") for status, _, body in answers]


@needs_curl
@pytest.mark.parametrize("number", range(len(INSIDE)), ids=[row[0] for row in INSIDE])
def test_from_inside_of_a_task_he_is_refused(answered: list[Answer], number: int) -> None:
    assert len(answered) == len(INSIDE)
    assert answered[number] == INSIDE[number][2]


@pytest.fixture(scope="module")
def ended(world: World) -> list[str]:
    """How each of `COMMANDS` ended in a task of bob's: its exit status and all that it said."""
    script = "".join(f"{words} &> err < /dev/null; echo $? $(cat err)\n" for words in COMMANDS)
    return said_in_a_task(world, script.format(live=world.live, done=world.done.job)).splitlines()


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=COMMANDS)
def test_by_a_command_in_a_task_he_is_refused(ended: list[str], number: int) -> None:
    assert ended[number].startswith("1 ")
    assert "bob is not allowed to access /jill/" in ended[number]
