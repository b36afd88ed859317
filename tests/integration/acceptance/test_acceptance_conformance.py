"""Jobs as scripts have relied on them for years: what runs, what comes out, under which names."""

from __future__ import annotations

import hashlib
import re

import pytest

from tests.support.machine import needs_namespaces
from tests.support.services.user import User, reduce

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
# Names that a careless program would cut, decode twice or refuse.
NAMES = [
    "with two  spaces",
    "naïve 鱼 🐟",
    "percent%20sign%",
    "question?mark&hash#",
    "quote'\"back\\slash",
    "-dash",
    "~~",
    ".hidden",
    "$(echo x);`id`|cat",
    "*",
    "x" * 255,
]


@pytest.fixture(scope="module")
def three(user: User) -> list[str]:
    return [user.put(f"obj{number}", f"{number}\n".encode()) for number in (1, 2, 3)]


@pytest.mark.parametrize("before", [(), ("cat",), (reduce("cat"), "cat")])
def test_a_reducer_without_input_runs_once(user: User, before: tuple[object, ...]) -> None:
    ended = user.run(*before, reduce("wc -c"))
    assert user.texts(ended) == ["0\n"]


def test_a_reducers_output_is_named_after_its_phase(user: User, three: list[str]) -> None:
    ended = user.run("cat", reduce("cat", count=2), "cat", inputs=three)
    assert len(ended.outputs) == 2
    assert all(re.fullmatch(rf"{ended.stor}/reduce\.1\.{UUID}\.2\.{UUID}", name) for name in ended.outputs)


def test_what_lies_between_phases_is_gone_when_the_job_is_done(user: User, three: list[str]) -> None:
    ended = user.run("cat", "cat", inputs=three)
    user.wait(ended.job, lambda status: "timeArchiveDone" in status)
    listed = user.session.call("GET", ended.stor + user.path("")).text
    assert {f'"name":"{name.rpartition("/")[2]}"' in listed for name in ended.outputs} == {True}
    assert len(listed.splitlines()) == 3


def test_mpipe_says_where_it_put_what(user: User, three: list[str]) -> None:
    ended = user.run("name=$(echo bar | mpipe) && echo $name | mpipe ~~/stor/told", inputs=three[:1])
    assert re.fullmatch(rf"{ended.stor}{three[0]}\.0\.{UUID}\n", user.get("told").decode())
    assert user.get("told").decode().strip() in ended.outputs


def test_objects_that_a_script_named_are_never_removed(user: User, three: list[str]) -> None:
    user.run("mpipe ~~/stor/kept; mcat $MANTA_INPUT_OBJECT", "cat", inputs=three[:1])
    assert (user.get("kept"), user.get(three[0])) == (b"1\n", b"1\n")


def test_msplit_sends_lines_by_the_md5_of_their_key(user: User) -> None:
    lines = [f"{key}\t{number}\n" for number in range(200) for key in ("a", "foo", "", f"k{number}")]
    text = user.put("lines", "".join(lines).encode())
    ended = user.run("msplit -n 3", reduce('echo "$MANTA_REDUCER"; cat', count=3), inputs=[text])

    def reducer(line: str) -> int:
        return int(hashlib.md5(line.split("\t")[0].encode()).hexdigest()[:8], 16) % 3

    parts = [f"{index}\n" + "".join(line for line in lines if reducer(line) == index) for index in range(3)]
    assert user.texts(ended) == sorted(parts)


def test_without_a_choice_every_object_reaches_one_reducer_whole(user: User) -> None:
    inputs = [user.put(f"part{number}", f"{number}\n".encode() * 5) for number in range(12)]
    ended = user.run("cat", reduce("uniq -c | awk '{print $1}'", count=3), inputs=inputs)
    assert "".join(user.texts(ended)) == "5\n" * 12


def test_a_reducer_that_stops_reading_has_succeeded(user: User) -> None:
    large = user.put("large", b"line\n" * 400_000)
    ended = user.run(reduce("head -n 1"), inputs=[large, large])
    assert (user.texts(ended), ended.errors) == (["line\n"], [])


def test_a_reducer_for_a_map_means_nothing(user: User, three: list[str]) -> None:
    assert user.texts(user.run("mpipe -r 100", "cat", inputs=three[:1])) == ["1\n"]


@pytest.mark.parametrize(
    ("command", "code", "stderr"),
    [
        ("mpipe ~~/stor/no/such/directory", 1, "mpipe: {stor}/no/such does not exist\n"),
        ("mpipe -r128", 1, "mpipe: invalid reducer\n"),
        ("mpipe -r x", 2, "mpipe: invalid reducer\n"),
        ("mpipe ~~/stor", 1, "mpipe: PUT is not allowed on {stor}\n"),
        ("mpipe /somebody/stor/x", 1, "mpipe: {login} is not allowed to access /somebody/stor/x\n"),
        ("mcat", 2, "mcat: "),
        ("msplit", 2, "msplit: number of reducers must be specified.\n"),
        ("mtee ~~/stor/no/such/directory", 1, "mtee: {stor}/no/such does not exist\n"),
    ],
)
def test_a_tool_that_fails_fails_its_task_and_says_why(
    user: User, three: list[str], command: str, code: int, stderr: str
) -> None:
    ended = user.run(command, inputs=three[:1])
    assert ended.error["code"] == "UserTaskError"
    assert ended.error["message"] == f"user command exited with code {code}"
    assert (
        user.get(ended.error["stderr"])
        .decode()
        .startswith(stderr.format(login=user.login, stor=user.path("").rstrip("/")))
    )
    assert ended.outputs == []


def test_mpipe_makes_directories_with_p(user: User, three: list[str]) -> None:
    ended = user.run("mpipe -p ~~/stor/new/directory/x", inputs=three[:1])
    assert (ended.outputs, user.get("new/directory/x")) == ([user.path("new/directory/x")], b"1\n")


@pytest.mark.parametrize(
    ("asset", "code"), [("/{login}/stor/no such", 404), ("/somebody/stor/x", 404), ("nonsense", 404)]
)
def test_an_asset_that_is_missing_fails_every_task(user: User, three: list[str], asset: str, code: int) -> None:
    name = asset.format(login=user.login)
    ended = user.run({"exec": "cat", "assets": [three[0], name]}, inputs=three[:2])
    assert [error["code"] for error in ended.errors] == ["TaskInitError"] * 2
    reason = f'failed to dispatch task: first of 1 error: error retrieving asset "{name}" (status code {code})'
    assert [error["message"] for error in ended.errors] == [reason] * 2


@needs_namespaces
def test_assets_are_there_before_init_and_can_be_run(user: User, three: list[str]) -> None:
    tool = user.put("a tool", b"#!/bin/sh\necho tool $1\n")
    phase = {"exec": "cat /tmp/made", "assets": [tool], "init": f"'/assets{tool}' of init > /tmp/made"}
    assert user.texts(user.run(phase, inputs=three[:1])) == ["tool of\n"]


def test_inputs_that_cannot_be_read_are_errors_and_no_tasks(user: User, three: list[str]) -> None:
    user.session.call("PUT", user.path("directory"), headers={"content-type": "application/json; type=directory"})
    bad = ["/jill", "relative", "/jill/stor/x", "/", *map(user.path, ("", "directory", "missing"))]
    ended = user.run("cat", inputs=[*bad, three[0]])
    found = {error["input"]: (error["code"], error["message"]) for error in ended.errors}
    stor = user.path("")
    assert found == {
        **{name: ("ResourceNotFoundError", f'malformed object name: "{name}"') for name in ("/jill", "relative", "/")},
        **{
            name: ("ResourceNotFoundError", f'no such object: "{name}"')
            for name in ("/jill/stor/x", stor, user.path("missing"))
        },
        user.path("directory"): (
            "InvalidArgumentError",
            f'objects of type "directory" are not supported: "{user.path("directory")}"',
        ),
    }
    assert (ended.stats["tasks"], ended.stats["errors"]) == (1, len(bad))
    assert sorted(ended.failures) == sorted(bad)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_any_characters_is_an_input_and_an_output(user: User, name: str) -> None:
    path = user.put(name, b"content\n")
    ended = user.run('cat "$MANTA_INPUT_FILE"; echo "$MANTA_INPUT_OBJECT"', inputs=[path])
    assert ended.errors == []
    assert user.texts(ended) == [f"content\n{path}\n"]
    assert re.fullmatch(rf"{ended.stor}{re.escape(path)}\.0\.{UUID}", ended.outputs[0])


def test_input_names_are_normalised_and_never_decoded(user: User, three: list[str]) -> None:
    user.put("%41", b"percent\n")
    ended = user.run("cat", inputs=[f"/{user.login}//stor/./x/../obj1", user.path("%41")])
    assert user.texts(ended) == ["1\n", "percent\n"]


def test_line_ends_of_all_kinds_end_an_input(user: User, three: list[str]) -> None:
    job = user.create("cat")
    body = f"{three[0]}\r\n\r\n\n{three[1]}\r{three[2]}\n{three[0]}".encode()
    user.session.call("POST", f"/{user.login}/jobs/{job}/live/in", query={"end": "true"}, body=body)
    assert user.texts(user.ended(job)) == ["1\n", "1\n", "2\n", "3\n"]
