"""Requests about jobs that are wrong: each gets its documented error, and changes nothing."""

from __future__ import annotations

import json
import uuid

import pytest
import pytest_asyncio

from tests.support.services.gateway import error, running_jobs

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}
MEMORY = "128, 256, 512, 1024, 2048, 4096, 8192"
TYPES = "storage-map, map, reduce"
DISK = "2, 4, 8, 16, 32, 64, 128, 256, 512, 1024"
TABLES = ("jobs", "phases", "inputs", "tasks", "errors", "outputs", "entries", "accounts")
NOBODYS = str(uuid.UUID(int=7))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory):
    """A gateway with the jobs API, on which jill and bob have a job each."""
    async with running_jobs(tmp_path_factory.mktemp("gateway")) as started:
        started.job = await create(started, "jill", "jill")
        started.bobs = await create(started, "bob", started.bob)
        yield started


async def create(gateway, login, signer):
    body = json.dumps({"phases": [{"exec": "wc"}]}).encode()
    reply = await gateway.request("POST", f"/{login}/jobs", body, by=signer, **JSON)
    assert reply.status_code == 201
    return reply.headers["Location"].rpartition("/")[2]


@pytest_asyncio.fixture(loop_scope="module")
async def unchanged(gateway):
    """Whatever the test did, all records are as they were."""

    async def rows():
        return await gateway.context.db.read(
            lambda c: {table: [tuple(row) for row in c.plain(f"SELECT * FROM {table}")] for table in TABLES}
        )

    before = await rows()
    yield
    assert await rows() == before


async def post(gateway, body, **headers):
    return await gateway.request("POST", "/jill/jobs", body, **{**JSON, **headers})


# A job that cannot be.


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Invalid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"{", None),
        (b'{"phases": [{"exec": "wc"},]}', None),
        (b"{'phases': []}", None),
        (b'{"phases": [{"exec": "wc", "count": NaN}]}', "Invalid JSON: NaN is not a JSON number"),
        (b'{"phases": [{"exec": "wc", "memory": Infinity}]}', "Invalid JSON: Infinity is not a JSON number"),
        (b'{"phases": [{"exec": "wc", "uarg": {"x": -Infinity}}]}', "Invalid JSON: -Infinity is not a JSON number"),
        (b'{"phases": [{"exec": "wc", "uarg": {"x": 1e999}}]}', None),
        (b'{"phases": [{"exec": "wc", "uarg": {"x": -1e999}}]}', None),
        (b'{"name": "\xff", "phases": [{"exec": "wc"}]}', None),
        (b'{"name": "\\ud800", "phases": [{"exec": "wc"}]}', None),
        (b'{"phases": [{"exec": "echo \\udfff"}]}', None),
        (b'{"phases": [{"exec": "wc", "uarg": {"\\ud800": 1}}]}', None),
        (b'{"phases": [{"exec": "wc", "assets": ["/jill/stor/\\ud800"]}]}', None),
        (b'{"phases": [{"exec": "wc", "count": ' + b"9" * 5000 + b"}]}", None),
        (b"[" * 50_000 + b"]" * 50_000, "Invalid JSON: nested too deeply"),
        (b'{"a":' * 15_000 + b"1" + b"}" * 15_000, "Invalid JSON: nested too deeply"),
        (b'{"phases": [{"exec": "wc"}]} trailing', None),
    ],
)
async def test_a_body_that_is_not_json(gateway, body, message):
    status, code, said = error(await post(gateway, body))
    assert (status, code) == (400, "InvalidContent")
    assert said.startswith("Invalid JSON: ")
    assert message in (None, said)


@pytest.mark.parametrize("depth", [10, 100, 300, 480, 490, 495, 500, 600, 900, 980, 985, 990, 995, 1000, 2000, 16_000])
async def test_any_depth_of_a_users_own_data_is_kept_or_refused(gateway, depth):
    body = b'{"phases": [{"exec": "wc", "uarg": {"x": ' + b"[" * depth + b"]" * depth + b"}}]}"
    reply = await post(gateway, body)
    if reply.status_code != 201:
        assert error(reply) == (400, "InvalidContent", "Invalid JSON: nested too deeply")
        return
    status = await gateway.get(reply.headers["Location"] + "/live/status")
    assert b"[" * depth + b"]" * depth in status.content


def one(**phase):
    return {"phases": [{"exec": "wc", **phase}]}


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("job", "message"),
    [
        (None, "job must not be null"),
        ({}, 'property "phases": is missing and it is required'),
        ({"phases": 1}, 'property "phases": number value found, but a array is required'),
        ({"phases": {}}, 'property "phases": object value found, but a array is required'),
        ({"phases": "wc"}, 'property "phases": string value found, but a array is required'),
        ({"phases": []}, 'property "phases": there must be a minimum of 1 in the array'),
        ({"phases": [None]}, 'property "phases[0]": must not be null'),
        ({"phases": ["wc"]}, 'property "phases[0]": string value found, but a object is required'),
        ({"phases": [{}]}, 'property "phases[0].exec": is missing and it is required'),
        ({"phases": [{"exec": "wc"}, {"type": "reduce"}]}, 'property "phases[1].exec": is missing and it is required'),
        (one(exec=1), 'property "phases[0].exec": number value found, but a string is required'),
        (one(exec=""), 'property "phases[0].exec": must be at least 1 characters long'),
        (one(junk=1), 'property "phases[0].junk": unsupported property'),
        (one(Exec="wc"), 'property "phases[0].Exec": unsupported property'),
        ({**one(), "junk": 1}, 'property "junk": unsupported property'),
        ({**one(), "options": {}}, 'property "options": unsupported property'),
        ({**one(), "name": 1}, 'property "name": number value found, but a string is required'),
        ({**one(), "transient": "true"}, 'property "transient": string value found, but a boolean is required'),
        (one(type="Map"), f'property "phases[0].type": does not have a value in the enumeration {TYPES}'),
        (one(type=["map"]), f'property "phases[0].type": does not have a value in the enumeration {TYPES}'),
        (one(type="reduce", count=129), 'property "phases[0].count": must have a maximum value of 128'),
        (one(type="reduce", count=0), 'property "phases[0].count": must have a minimum value of 1'),
        (one(type="reduce", count=-1), 'property "phases[0].count": must have a minimum value of 1'),
        (one(type="reduce", count=10**400), 'property "phases[0].count": must have a maximum value of 128'),
        (one(type="reduce", count=1.5), 'property "phases[0].count": number value found, but a integer is required'),
        (one(type="reduce", count="x"), 'property "phases[0].count": string value found, but a integer is required'),
        (one(type="reduce", count="²"), 'property "phases[0].count": string value found, but a integer is required'),
        (one(type="reduce", count="9" * 5000),
         'property "phases[0].count": string value found, but a integer is required'),
        (one(type="reduce", count=""), 'property "phases[0].count": string value found, but a integer is required'),
        (one(type="reduce", count=True), 'property "phases[0].count": boolean value found, but a integer is required'),
        (one(count=129), 'property "phases[0].count": must have a maximum value of 128'),
        *(
            (one(memory=memory), f'property "phases[0].memory": does not have a value in the enumeration {MEMORY}')
            for memory in (0, 1, 127, 129, 1000, 16384, -1024, 10**400, 0.5, "big", None, True, [1024], {})
        ),
        *(
            (one(disk=disk), f'property "phases[0].disk": does not have a value in the enumeration {DISK}')
            for disk in (0, 1, 3, 2048, None, True, [8])
        ),
        (one(image="junk"), 'property "phases[0].image": invalid semver range: "junk"'),
        (one(image="99.x"), 'property "phases[0].image": unsupported version: "99.x"'),
        (one(image=13), 'property "phases[0].image": number value found, but a string is required'),
        (one(assets="x"), 'property "phases[0].assets": string value found, but a array is required'),
        (one(assets=["/jill/stor/a", 1]),
         'property "phases[0].assets[1]": number value found, but a string is required'),
        (one(init=1), 'property "phases[0].init": number value found, but a string is required'),
        (one(exec="a\0b"), 'property "phases[0].exec": must not contain a NUL character'),
        (one(init="a\0b"), 'property "phases[0].init": must not contain a NUL character'),
    ],
)  # fmt: skip
async def test_a_job_that_cannot_be(gateway, job, message):
    assert error(await post(gateway, json.dumps(job).encode())) == (400, "InvalidJob", message)


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("job", [1, "wc", [], True])
async def test_a_job_that_is_no_object(gateway, job):
    status, code, _ = error(await post(gateway, json.dumps(job).encode()))
    assert (status, code) == (400, "InvalidJob")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "junk", ""])
async def test_a_job_in_another_content_type_is_not_parsed(gateway, kind):
    reply = await post(gateway, json.dumps(one()).encode(), **{"Content-Type": kind})
    assert error(reply) == (400, "InvalidJob", 'property "phases": is missing and it is required')


@pytest.mark.parametrize("kind", ["application/json; type=job", "application/json;charset=utf-8", "Application/JSON"])
async def test_json_by_any_of_its_names_is_parsed(gateway, kind):
    assert (await post(gateway, json.dumps(one()).encode(), **{"Content-Type": kind})).status_code == 201


async def pieces(body):
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_job_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(gateway, chunked):
    fitting = json.dumps(one(exec="x" * 99_900)).encode().ljust(100_000)
    reply = await post(gateway, pieces(fitting) if chunked else fitting)
    assert reply.status_code == 201
    reply = await post(gateway, pieces(fitting + b" ") if chunked else fitting + b" ")
    said = "body too large: 100001 bytes or more, and at most 100000 are taken"
    assert error(reply) == (413, "RequestEntityTooLargeError", said)


# A job that is not there, or not one's own.

LIVE = [
    *(("GET", what) for what in ("status", "usage", "tasks", "in", "out", "fail", "err")),
    ("POST", "in"), ("POST", "in/end"), ("POST", "cancel"),
]  # fmt: skip


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("method", "what"), LIVE)
async def test_a_job_that_never_was(gateway, method, what):
    for job in (NOBODYS, "junk", "x" * 300, "..."):
        path = f"/jill/jobs/{job}/live/{what}"
        assert error(await gateway.request(method, path, b"x")) == (404, "ResourceNotFound", f"{path} does not exist")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("method", "what"), LIVE)
async def test_the_job_of_another_under_ones_own_login(gateway, method, what):
    path = f"/jill/jobs/{gateway.bobs}/live/{what}"
    assert error(await gateway.request(method, path, b"x")) == (404, "ResourceNotFound", f"{path} was not found")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(("method", "what"), LIVE)
async def test_the_job_of_another_under_his_login(gateway, method, what):
    path = f"/bob/jobs/{gateway.bobs}/live/{what}"
    refusal = (403, "AuthorizationFailed", f"jill is not allowed to access {path}")
    assert error(await gateway.request(method, path, b"x")) == refusal
    anonymous = (403, "AuthorizationFailed", f"anonymous is not allowed to access {path}")
    assert error(await gateway.request(method, path, b"x", by=None)) == anonymous


@pytest.mark.usefixtures("unchanged")
async def test_a_job_for_another(gateway):
    for signer, name in ((gateway.bob, "bob"), (None, "anonymous")):
        reply = await gateway.request("POST", "/jill/jobs", json.dumps(one()).encode(), by=signer, **JSON)
        assert error(reply) == (403, "AuthorizationFailed", f"{name} is not allowed to access /jill/jobs")
        reply = await gateway.request("GET", "/jill/jobs?state=live", by=signer)
        assert error(reply) == (403, "AuthorizationFailed", f"{name} is not allowed to access /jill/jobs")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("what", ["", "junk", "status/x", "in/begin", "Status", "in/end/", "live"])
async def test_a_question_that_no_job_answers(gateway, what):
    reply = await gateway.get(f"/jill/jobs/{gateway.job}/live/{what}")
    if what == "":  # the directory itself
        assert reply.status_code == 200
        return
    status, code, _ = error(reply)
    assert (status, code) in ((404, "ResourceNotFound"), (405, "MethodNotAllowedError"))


# How one asks.


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("method", "what"),
    [
        *(("DELETE", what) for what in ("status", "usage", "tasks", "in", "out", "fail", "err", "in/end", "cancel")),
        *(("PUT", what) for what in ("status", "in", "out", "fail", "err", "in/end", "cancel")),
        *(("PATCH", what) for what in ("status", "in")),
        *(("POST", what) for what in ("status", "usage", "tasks", "out", "fail", "err")),
        *(("GET", what) for what in ("in/end", "cancel")),
    ],
)
async def test_a_method_that_is_not_for_it(gateway, method, what):
    reply = await gateway.request(method, f"/jill/jobs/{gateway.job}/live/{what}", b"x")
    assert error(reply) == (405, "MethodNotAllowedError", f"{method} is not allowed")


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("query", "value", "name"),
    [
        ("limit=0", "0", "limit"),
        ("limit=-1", "-1", "limit"),
        ("limit=1001", "1001", "limit"),
        ("limit=ten", "ten", "limit"),
        ("limit=", "", "limit"),
        ("limit=%C2%B2", "²", "limit"),
        ("limit=1%00", "1\0", "limit"),
        ("marker=x", "x", "marker"),
        ("marker=-1", "-1", "marker"),
        ("marker=9999999999999999999", "9999999999999999999", "marker"),
        ("limit=10&marker=1.5", "1.5", "marker"),
    ],
)
async def test_a_page_that_cannot_be(gateway, query, value, name):
    for what in ("in", "out", "fail", "err", "tasks"):
        reply = await gateway.get(f"/jill/jobs/{gateway.job}/live/{what}?{query}")
        assert error(reply) == (400, "InvalidParameter", f'"{value}" is invalid for "{name}"')


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize(
    ("query", "value", "name"),
    [
        ("state=queued", "queued", "state"),
        ("state=", "", "state"),
        ("state=Live", "Live", "state"),
        ("status=junk", "junk", "status"),
        ("name=", "", "name"),
        ("name=a%00", "a\0", "name"),
        ("state=live&limit=1001", "1001", "limit"),
        ("state=live&limit=0", "0", "limit"),
        (f"state=live&marker={NOBODYS}", NOBODYS, "marker"),
    ],
)
async def test_a_search_that_cannot_be(gateway, query, value, name):
    reply = await gateway.get(f"/jill/jobs?{query}")
    assert error(reply) == (400, "InvalidParameter", f'"{value}" is invalid for "{name}"')


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("value", ["x", "-1", "1e3", "nan", "inf", "", "1" * 400, "+1", "1,5"])
async def test_a_time_to_wait_that_is_none(gateway, value):
    reply = await gateway.get(f"/jill/jobs/{gateway.job}/live/status?wait={value.replace('+', '%2B')}")
    assert error(reply) == (400, "InvalidParameter", f'"{value}" is invalid for "wait"')


@pytest.mark.usefixtures("unchanged")
async def test_a_line_of_input_that_is_too_long_is_no_input(gateway):
    path = f"/jill/jobs/{gateway.job}/live/in"
    long = b"/jill/stor/" + b"x" * 70_000
    message = "a line of input is longer than 8192 bytes"
    for body in (long, long + b"\n", pieces(long + b"\n"), long * 5):
        assert error(await gateway.request("POST", path, body)) == (400, "BadRequestError", message)


@pytest.mark.usefixtures("unchanged")
async def test_input_that_is_cut_off_before_its_first_line_ends_adds_nothing(gateway):
    signed = [f"{name}: {value}" for name, value in gateway.jill.headers().items()]
    head = [f"POST /jill/jobs/{gateway.job}/live/in?end=true HTTP/1.1", "Host: x", *signed, "Content-Length: 100", ""]
    reply = await gateway.raw("\r\n".join([*head, "/jill/stor/a"]).encode(), end=True)
    assert reply.startswith(b"HTTP/1.1 499 ")
    assert reply.endswith(b'{"code":"UploadAbandoned","message":"the body ended before it was complete"}')


async def test_input_in_bytes_that_are_no_text_is_an_error_of_the_job_and_not_of_the_service(gateway):
    path = f"/jill/jobs/{gateway.job}/live"
    assert (
        await gateway.request("POST", f"{path}/in?end=true", b"/jill/stor/\xff\n/jill/stor/a\0b\n")
    ).status_code == 204
    await wait_done(gateway, path)
    records = [json.loads(line) for line in (await gateway.get(f"{path}/err")).text.splitlines()]
    assert [record["code"] for record in records] == ["ResourceNotFoundError"] * 2
    assert [record["input"] for record in records] == ["/jill/stor/�", "/jill/stor/a\0b"]


async def wait_done(gateway, path):
    while (await gateway.get(f"{path}/status?wait=5")).json()["state"] != "done":
        pass
