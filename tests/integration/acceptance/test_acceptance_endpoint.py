"""The service as a task reaches it, at MANTA_URL with curl: objects, jobs, and the three headers."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess

import pytest

from tests.support.gate import Gate
from tests.support.nodes.containers import doors
from tests.support.services.service import Service
from tests.support.services.user import Ended, User, reduce

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")

# `ask NAME [curl options]`: a request about an object below stor; prints the status, then the body.
ASK = """ask() {
    curl -sS -o body -w '%{http_code} ' "${@:2}" "${MANTA_URL}$MANTA_USER/stor/$1" && cat body; echo
}
"""


@pytest.fixture(scope="module")
def item(user: User) -> str:
    return user.put("item", b"item\n")


def answers(user: User, item: str, script: str, *after: str | dict[str, object]) -> tuple[list[str], Ended]:
    """What `ask` printed in a map's task; it is saved under a name, so that the outputs are the script's own."""
    user.put("said")
    saved = f"{{ {script}\n}} > said; mtee ~~/stor/said < said > /dev/null"
    ended = user.run(ASK + saved, *after, inputs=[item])
    return [line for line in user.get("said").decode().splitlines() if line], ended


def refusal(line: str) -> tuple[str, str, str]:
    """Status, code and message of an answer that is an error."""
    status, _, body = line.partition(" ")
    error = json.loads(body)
    return status, error["code"], error["message"]


def test_objects_are_there_without_any_key(user: User, item: str) -> None:
    said, ended = answers(user, item, "ask new -T - <<< new; ask new; ask item; ask new -X DELETE; ask new")
    assert said[:4] == ["204 ", "200 new", "200 item", "204 "]
    assert refusal(said[-1]) == ("404", "ResourceNotFound", f"{user.path('new')} was not found")
    assert ended.errors == []


def test_a_job_can_be_asked_about_itself_and_can_make_another(user: User, item: str) -> None:
    script = """
        job=$MANTA_URL$MANTA_USER/jobs/$MANTA_JOB_ID/live
        curl -fsS $job/in
        curl -fsS $job/status | grep -c '"state":"running"'
        curl -fsS -X POST -H 'content-type: application/json' -d '{"phases":[{"exec":"true"}],"name":"child"}' \\
            -o /dev/null -w '%{http_code}\\n' $MANTA_URL$MANTA_USER/jobs
    """
    assert user.texts(user.run(script, inputs=[item])) == [f"{item}\n1\n201\n"]
    (child,) = user.session.call("GET", f"/{user.login}/jobs", query={"name": "child"}).text.splitlines()
    assert user.ended(json.loads(child)["name"]).status["cancelled"], "it ends with the job of its task"


def test_a_stream_becomes_an_output_when_the_task_succeeds_and_stdout_is_dropped(user: User, item: str) -> None:
    said, ended = answers(user, item, "echo dropped >&1; ask made -T - -H 'X-MANTA-STREAM: stdout' <<< made; ask made")
    assert said[1] == "204 "
    assert (ended.outputs, user.get("made")) == ([user.path("made")], b"made\n")


def test_a_stream_of_a_failed_task_is_no_output(user: User, item: str) -> None:
    ended = user.run(ASK + "ask lost -T - -H 'x-manta-stream: stdout' <<< x; exit 1", inputs=[item])
    assert (ended.outputs, ended.error["message"]) == ([], "user command exited with code 1")


def test_a_stream_keeps_its_headers_and_its_bytes(user: User, item: str) -> None:
    ended = user.run(
        "head -c 3000000 /dev/zero | curl -fsST - -H 'x-manta-stream: stdout' -H 'm-color: red' -H 'content-type: a/b' "
        "$MANTA_URL$MANTA_USER/stor/with%20headers",
        inputs=[item],
    )
    assert ended.outputs == [user.path("with headers")]
    headers = user.session.call("HEAD", ended.outputs[0]).headers
    assert (headers["m-color"], headers["content-type"], headers["content-length"]) == ("red", "a/b", "3000000")


def test_reducer_numbers_direct_streams_and_references(user: User, item: str) -> None:
    script = """
        for n in 0 1 2; do ask part$n -T - -H 'X-Manta-Stream: stdout' -H "X-Manta-Reducer: ${n}abc" <<< part$n; done
        ask item -X PUT -H 'X-Manta-Reference: true' -H 'X-Manta-Reducer: 2'
    """
    said, ended = answers(user, item, script, reduce('echo "$MANTA_REDUCER: $(sort | tr "\\n" " ")"', count=3))
    assert said == ["204 "] * 4
    assert user.texts(ended) == ["0: part0 \n", "1: part1 \n", "2: item part2 \n"]


@pytest.mark.parametrize("reducer", ["128", "-1", "x", "", "9999999999999999999999"])
@pytest.mark.parametrize("kind", ["Stream: stdout", "Reference: true"])
def test_a_reducer_that_cannot_be_is_refused(user: User, item: str, reducer: str, kind: str) -> None:
    header = f"X-Manta-Reducer: {reducer}" if reducer else "X-Manta-Reducer;"
    said, ended = answers(user, item, f"ask bad -X PUT -H 'X-Manta-{kind}' -H '{header}' -d x")
    assert refusal(said[0]) == ("409", "InvalidArgument", "invalid reducer")
    assert (user.exists("bad"), user.path("bad") in ended.outputs) == (False, False)


def test_a_reference_is_found_out_about_in_the_next_phase(user: User, item: str) -> None:
    said, ended = answers(
        user, item, "for name in item missing; do ask $name -X PUT -H 'X-Manta-Reference: true'; done", "cat"
    )
    assert said == ["204 "] * 2
    assert user.texts(ended) == ["item\n"]
    assert (ended.error["code"], ended.error["phase"]) == ("ResourceNotFoundError", "1")
    assert ended.error["message"] == f'no such object: "{user.path("missing")}"'
    assert ended.error["p0input"] == item


def test_what_the_service_refuses_is_refused_and_suppresses_stdout(user: User, item: str) -> None:
    script = "; ".join(
        f"ask {name} -T - -H 'X-Manta-Stream: stdout' <<< x" for name in ("no/such/x", "../../somebody/stor/x")
    )
    said, ended = answers(user, item, script.replace("-T -", "--path-as-is -T -"))
    found = [refusal(line) for line in said]
    assert found[0] == ("404", "DirectoryDoesNotExist", f"{user.path('no/such')} does not exist")
    assert found[1][:2] == ("400", "InvalidResource")
    assert ended.outputs == []


def test_another_account_is_out_of_reach_and_the_reason_is_told(user: User, item: str) -> None:
    script = """
        MANTA_USER=somebody
        for stream in X X-Manta-Stream; do ask x -T - -H "$stream: stdout" <<< x; done
        ask x; MANTA_USER=_agent; ask x -X POST
    """
    said, _ = answers(user, item, script + f"MANTA_USER={user.login}")
    assert refusal(said[0])[:2] == ("403", "AccountDoesNotExist")
    assert refusal(said[1]) == ("403", "AuthorizationFailed", f"{user.login} is not allowed to access /somebody/stor/x")
    assert refusal(said[2])[:2] == ("403", "AccountDoesNotExist")
    assert refusal(said[3])[:2] == ("403", "InvalidAgentSecret")


def test_the_headers_mean_nothing_at_the_public_door(user: User) -> None:
    headers = {"X-Manta-Stream": "stdout", "X-Manta-Reducer": "junk", "X-Manta-Reference": "true"}
    user.session.call("PUT", user.path("public door"), headers=headers, body=b"x")
    assert user.get("public door") == b"x"


def test_nobody_outside_of_the_instance_may_use_its_door(service: Service, user: User, item: str) -> None:
    with Gate() as gate:
        jobs = [user.create(gate.wait("$MANTA_URL")) for _ in range(2)]
        for job in jobs:
            user.add(job, item)
        words = gate.arrivals(2)
        urls = doors(service.state_dir, words)
        assert len(set(urls)) == 2
        script = "".join(
            f"for n in 1 2; do curl -sS {door}{user.login}/stor/item && echo got; done; curl -sS -T - {door}x <<< x; "
            for door in urls
        )
        outside = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False).stdout
        # Another container does not even reach it.
        inside = [] if urls != words else user.texts(user.run(f"{script} true", inputs=[item]))
        assert [outside, *inside] == [""] * (1 + len(inside))
        gate.open()
        assert [user.finish(job).errors for job in jobs] == [[], []]


def test_an_input_that_was_deleted_meanwhile_is_not_found(user: User) -> None:
    doomed = user.put("doomed", b"x")
    said, _ = answers(user, doomed, "ask doomed -X DELETE; ask doomed")
    assert said[0] == "204 "
    assert refusal(said[1]) == ("404", "ResourceNotFound", f"{doomed} was not found")


def test_many_requests_of_one_task_are_all_answered(user: User, item: str) -> None:
    script = """
        for n in $(seq 60); do curl -fsS -o got-$n $MANTA_URL$MANTA_USER/stor/item & done; wait
        cat got-* | sort | uniq -c | tr -s ' '
    """
    assert user.texts(user.run(script, inputs=[item])) == [" 60 item\n"]


# curl's options of a PUT to `item` (or the name given first), and what both doors say to it.
REFUSED_PUTS = [
    ("item", "-T - -H 'If-Match: other'", "PreconditionFailed"),
    ("item", "-T - -H 'If-None-Match: *'", "PreconditionFailed"),
    ("item", "-T - -H 'If-Unmodified-Since: Tue, 01 Jan 2013 00:00:00 GMT'", "PreconditionFailed"),
    ("item", "-T - -H 'max-content-length: 1'", "MaxContentLengthExceeded"),
    ("item", "-T - -H 'max-content-length: many'", "InvalidMaxContentLength"),
    ("item", "-T - -H 'durability-level: 7'", "InvalidDurabilityLevel"),
    ("item", "-T - -H 'x-durability-level: 0'", "InvalidDurabilityLevel"),
    ("item", "-T - -H 'Content-MD5: no'", "BadRequestError"),
    ("item", "-T - -H 'Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=='", "ContentMD5Mismatch"),
    ("item", "-T - -H 'Content-Disposition: ;;'", "BadRequestError"),
    ("item", "-T - -H 'Role-Tag: ops'", "InvalidRoleTag"),
    ("item", "-X PUT", "ContentLengthRequired"),
    ("item/below", "-T -", "ParentNotDirectory"),
    ("missing/x", "-T -", "DirectoryDoesNotExist"),
    ("..", "--path-as-is -X PUT -d x", "InvalidResource"),
    ("", "-X PUT -d x", "OperationNotAllowedOnRootDirectory"),
    ("directory", "-T item", "InvalidUpdate"),
    ("directory", "-T - -H 'Transfer-Encoding: chunked'", "OperationNotAllowedOnDirectory"),
]


def test_a_stream_is_refused_as_any_other_put_is(user: User, item: str) -> None:
    user.session.call("PUT", user.path("directory"), headers={"content-type": "application/json; type=directory"})
    lines = [
        f"echo more than one byte | ask '{name}' {options} -H '{header}: stdout'"
        for name, options, _ in REFUSED_PUTS
        for header in ("X-None", "X-Manta-Stream")
    ]
    said, ended = answers(user, item, "echo item > item\n" + "\n".join(lines))
    assert len(said) == 2 * len(REFUSED_PUTS)
    plain, streamed = ([refusal(line) for line in said[start::2]] for start in (0, 1))
    assert streamed == plain
    assert [code for _, code, _ in plain] == [code for _, _, code in REFUSED_PUTS]
    assert ended.outputs == []
    assert user.get(item) == b"item\n"


def test_a_stream_that_meets_its_conditions_is_stored_with_its_durability(user: User, item: str) -> None:
    user.put("old", b"x")
    etag = user.session.call("HEAD", user.path("old")).headers["etag"]
    said, ended = answers(
        user, item, f"ask old -T - -H 'X-Manta-Stream: stdout' -H 'If-Match: {etag}' -H 'durability-level: 4' <<< new"
    )
    assert (said, ended.outputs) == (["204 "], [user.path("old")])
    reply = user.session.call("GET", user.path("old"))
    assert (reply.content, reply.headers["durability-level"]) == (b"new\n", "4")


def test_both_doors_put_the_same_headers_on_the_same_replies(user: User, item: str) -> None:
    script = """
        for header in X-None X-Manta-Stream; do
            for options in '-T -' '-T - -H max-content-length:1' '-H content-md5:no -T -'; do
                curl -sS -o /dev/null -D - $options -H "$header: stdout" ${MANTA_URL}$MANTA_USER/stor/made <<< made |
                    grep -o '^[A-Za-z0-9-]*:' | tr A-Z a-z | sort | tr -d '\\n' >> said; echo >> said
            done
        done; cat said | mtee ~~/stor/headers > /dev/null
    """
    user.run(script, inputs=[item])
    said = user.get("headers").decode().splitlines()
    assert said[:3] == said[3:]
    always = {"date", "server", "x-request-id", "x-response-time", "x-server-name", "connection"}
    assert set(said[3].rstrip(":").split(":")) == always | {"etag", "last-modified", "computed-md5"}
    assert set(said[4].rstrip(":").split(":")) == always | {"content-length", "content-type", "content-md5"}


def test_a_link_that_is_streamed_is_made_and_its_name_is_the_output(user: User, item: str) -> None:
    link = f"-X PUT -H 'content-type: application/json; type=link' -H 'Location: {item}' -H 'X-Manta-Stream: stdout'"
    said, ended = answers(user, item, f"ask linked {link}; ask none/linked {link}")
    assert said[0] == "204 "
    assert refusal(said[1])[1] == "DirectoryDoesNotExist"
    assert ended.outputs == [user.path("linked")]
    assert user.get("linked") == b"item\n"


def test_a_task_gets_no_token_that_would_outlive_it(user: User, item: str) -> None:
    reply = user.texts(user.run("curl -sS -X POST $MANTA_URL$MANTA_USER/tokens", inputs=[item]))[0]
    assert json.loads(reply)["code"] == "AuthorizationFailed"


def test_metadata_is_changed_by_a_put_without_a_body(user: User, item: str) -> None:
    user.put("marked")
    script = "curl -sS -X PUT -H 'm-color: red' \"${MANTA_URL}$MANTA_USER/stor/marked?metadata=true\""
    assert user.texts(user.run(script, inputs=[item])) == [""]
    assert user.session.call("HEAD", user.path("marked")).headers["m-color"] == "red"


def test_a_compressed_body_passes_as_it_is(user: User, item: str) -> None:
    script = """
        printf 'pressed' | gzip -n > z
        curl -fsS -T z -H 'Content-Encoding: gzip' ${MANTA_URL}$MANTA_USER/stor/z
        curl -fsS -T z -H 'Content-Encoding: gzip' -H 'X-Manta-Stream: stdout' ${MANTA_URL}$MANTA_USER/stor/zz
    """
    assert user.run(script, inputs=[item]).outputs == [user.path("zz")]
    assert gzip.decompress(user.get("z")) == gzip.decompress(user.get("zz")) == b"pressed"
