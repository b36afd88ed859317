"""The list of attempts: what bob, who has an account of his own, tries to get at a private object of jill's.

One line is one attempt and what it is answered. `SECRET` is hers; nothing that bob is answered may hold
what is in it, and when all was tried, nothing of hers has changed. Attempts of three kinds: by HTTP at the
front door, by the job that he runs, and from inside of a task, at the door of its instance.

A door hangs up on who is not of its instance. Where instances have a loopback of their own, the front door is out of a
task's reach, and whatever address of a loopback it asks, what answers is its own door.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.machine import OWN_LOOPBACK
from tests.support.services.accounts import SECRET, UNHEARD, Answer, World
from tests.support.services.gateway import DIRECTORY, link_to
from tests.support.services.user import Ended, reduce

TARGET = "(request-target)"

DENIED = (403, "AuthorizationFailed")
FORGED = (403, "InvalidSignature")
PRESIGNED = (403, "InvalidQueryStringAuthentication")
NO_TOKEN = (403, "InvalidAuthenticationToken")
NO_KEY = (403, "KeyDoesNotExist")
NO_PATH = (400, "InvalidResource")
NO_JOB = (404, "ResourceNotFound")
NO_ACCOUNT = (403, "AccountDoesNotExist")
OPEN = (200, "")
# At the address of another instance's port.
AT_HIS_OWN = DENIED if OWN_LOOPBACK else UNHEARD
NAMED = (204, "")  # a reference is a name, and opens nothing

# Who may, may: what is refused below is not refused for another reason.

CONTROLS: list[tuple[str, Callable[[World], Answer], Answer]] = [
    ("her own key", lambda w: w.ask("GET", SECRET, by="jill"), OPEN),
    ("her presigned URL", lambda w: w.ask("HEAD", w.url("jill", methods="HEAD"), by=None), OPEN),
    ("a token of her live job", lambda w: w.ask("HEAD", SECRET, by=None, **w.token("jill", w.live)), OPEN),
    ("what is public", lambda w: w.ask("GET", "/jill/public/open"), OPEN),
    ("his own", lambda w: w.ask("GET", "/bob/stor/a"), OPEN),
    ("a token of his live job", lambda w: w.ask("GET", "/bob/stor/a", by=None, **w.token("bob", w.own)), OPEN),
]  # fmt: skip

HTTP: list[tuple[str, Callable[[World], Answer], Answer]] = [
    # Plainly.
    ("GET", lambda w: w.ask("GET", SECRET), DENIED),
    ("GET by nobody", lambda w: w.ask("GET", SECRET, by=None), DENIED),
    ("HEAD", lambda w: w.ask("HEAD", SECRET), (403, "")),
    ("a range", lambda w: w.ask("GET", SECRET, range="bytes=0-3"), DENIED),
    ("if it matches anything", lambda w: w.ask("GET", SECRET, if_match="*"), DENIED),
    ("if it does not match", lambda w: w.ask("GET", SECRET, if_none_match="*"), DENIED),
    ("if it was modified", lambda w: w.ask("GET", SECRET, if_modified_since="Thu, 01 Jan 1970 00:00:00 GMT"), DENIED),
    ("overwriting it", lambda w: w.ask("PUT", SECRET, body=b"x"), DENIED),
    ("overwriting it if it is there", lambda w: w.ask("PUT", SECRET, body=b"x", if_match="*"), DENIED),
    ("deleting it", lambda w: w.ask("DELETE", SECRET), DENIED),
    ("a new object beside it", lambda w: w.ask("PUT", "/jill/stor/new", body=b"x"), DENIED),
    ("a directory beside it", lambda w: w.ask("PUT", "/jill/stor/new", **DIRECTORY), DENIED),
    ("an object among her public ones", lambda w: w.ask("PUT", "/jill/public/new", body=b"x"), DENIED),
    ("its metadata", lambda w: w.ask("PUT", SECRET + "?metadata=true", m_a="x"), DENIED),
    ("metadata of her public object", lambda w: w.ask("PUT", "/jill/public/open?metadata=true", m_a="x"), DENIED),
    ("is it there at all", lambda w: w.ask("GET", "/jill/stor/missing"), DENIED),
    ("listing its directory", lambda w: w.ask("GET", "/jill/stor"), DENIED),
    ("listing a part of it", lambda w: w.ask("GET", "/jill/stor?marker=secret&limit=1"), DENIED),
    ("listing her account", lambda w: w.ask("GET", "/jill"), DENIED),
    ("as an operator", lambda w: w.ask("GET", "/jill/stor?skip_owner_check=true&sort=none"), DENIED),
    ("by another method's name", lambda w: w.ask("POST", SECRET, x_http_method_override="GET"), DENIED),
    ("from a page", lambda w: w.ask("GET", SECRET, origin="http://page"), DENIED),
    ("a preflight", lambda w: w.ask("OPTIONS", SECRET, origin="http://p", access_control_request_method="GET"), OPEN),
    # By names that mean something else.
    ("two slashes", lambda w: w.ask("GET", "//jill//stor//secret"), DENIED),
    ("an encoded name", lambda w: w.ask("GET", "/%6aill/%73tor/s%65cret"), DENIED),
    ("beside what is public", lambda w: w.ask("GET", "/jill/public/../stor/secret"), NO_PATH),
    ("encoded dots", lambda w: w.ask("GET", "/jill/public/%2e%2e/stor/secret"), NO_PATH),
    ("encoded slashes", lambda w: w.ask("GET", "/jill/public/..%2fstor/secret"), NO_PATH),
    ("below oneself", lambda w: w.ask("GET", "/bob/stor/../../jill/stor/secret"), NO_PATH),
    ("one encoded slash", lambda w: w.ask("GET", "/jill%2fstor/secret"), NO_PATH),
    ("twice encoded", lambda w: w.ask("GET", "/jill/public/%252e%252e/stor/secret"), NO_JOB),
    ("a name cut short", lambda w: w.ask("GET", "/jill/stor/secret%00/public"), NO_PATH),
    ("public in the query", lambda w: w.ask("GET", SECRET + "?/jill/public/"), DENIED),
    ("public at the end", lambda w: w.ask("GET", "/jill/stor/public/../secret"), NO_PATH),
    ("another case", lambda w: w.ask("GET", "/Jill/Public/../stor/secret"), NO_PATH),
    ("an account of another case", lambda w: w.ask("GET", "/JILL/stor/secret"), NO_ACCOUNT),
    ("a whole URL", lambda w: w.ask("GET", w.service.url + SECRET), NO_PATH),
    # By headers that say where one comes from, or goes.
    ("as if from this machine", lambda w: w.ask("GET", SECRET, by=None, x_forwarded_for="127.0.0.1"), DENIED),
    ("for another URL", lambda w: w.ask("GET", "/bob/stor/a", x_original_url=SECRET, x_rewrite_url=SECRET), OPEN),
    ("as if through a proxy", lambda w: w.ask("GET", SECRET, forwarded="for=127.0.0.1;host=jill"), DENIED),
    ("at another host", lambda w: w.ask("GET", SECRET, by=None, host="jill"), DENIED),
    ("as a user", lambda w: w.ask("GET", SECRET, x_user="jill", x_remote_user="jill", manta_user="jill"), DENIED),
    ("in a role", lambda w: w.ask("GET", SECRET, role="administrator"), (409, "InvalidRole")),
    ("by reference", lambda w: w.ask("PUT", SECRET, x_manta_reference="true"), DENIED),
    ("as a stream", lambda w: w.ask("PUT", SECRET, body=b"x", x_manta_stream="stdout"), DENIED),
    # By SnapLink.
    ("a link", lambda w: w.ask("PUT", "/bob/stor/l", **link_to(SECRET)), DENIED),
    ("a public link", lambda w: w.ask("PUT", "/bob/public/l", **link_to(SECRET)), DENIED),
    ("a link by encoded name", lambda w: w.ask("PUT", "/bob/stor/l", **link_to("/jill/%73tor/secret")), DENIED),
    ("a link with two slashes", lambda w: w.ask("PUT", "/bob/stor/l", **link_to("//jill//stor/secret")), DENIED),
    ("a link beside what is public", lambda w: w.ask("PUT", "/bob/stor/l", **link_to("/jill/public/../stor/secret")),
     (400, "InvalidLink")),
    ("a link to a URL", lambda w: w.ask("PUT", "/bob/stor/l", **link_to(w.service.url + SECRET)), (400, "InvalidLink")),
    ("a link to what is not there", lambda w: w.ask("PUT", "/bob/stor/l", **link_to("/jill/stor/missing")), DENIED),
    ("a link in her place", lambda w: w.ask("PUT", "/jill/stor/l", **link_to("/bob/stor/a")), DENIED),
    ("a link over it", lambda w: w.ask("PUT", SECRET, **link_to("/bob/stor/a")), DENIED),
    ("what the links have left", lambda w: w.ask("GET", "/bob/stor/l"), NO_JOB),
    # By signatures.
    ("her key's name", lambda w: w.ask("GET", SECRET, by=None, **w.signed_as(w.signers["jill"].key_id)), FORGED),
    ("his key as if hers", lambda w: w.ask("GET", SECRET, by=None,
        **w.signed_as(f"/jill/keys/{w.signers['bob'].fingerprint}")), NO_KEY),
    ("her key as if his", lambda w: w.ask("GET", SECRET, by=None,
        **w.signed_as(f"/bob/keys/{w.signers['jill'].fingerprint}")), NO_KEY),
    ("a sub-user", lambda w: w.ask("GET", SECRET, by=None,
        **w.signed_as(f"/jill/bob/keys/{w.signers['bob'].fingerprint}")), (403, "UserDoesNotExist")),
    ("a key's name that climbs", lambda w: w.ask("GET", SECRET, by=None, **w.signed_as("/bob/../jill/keys/x")),
     (403, "InvalidKeyId")),
    ("replayed for another path", lambda w: w.ask("GET", SECRET, by=None,
        **w.replayed("GET", "/jill/public/open", TARGET, "date")), FORGED),
    ("replayed for another method", lambda w: w.ask("DELETE", SECRET, by=None,
        **w.replayed("GET", SECRET, TARGET, "date")), FORGED),
    ("replayed with another query", lambda w: w.ask("PUT", SECRET + "?metadata=true", by=None,
        **w.replayed("PUT", SECRET, TARGET, "date")), FORGED),
    ("replayed with another date", lambda w: w.ask("GET", SECRET, by=None,
        **{**w.replayed("GET", SECRET, "date"), "Date": "Fri, 20 Nov 2099 17:13:23 GMT"}), (400, "InvalidHeader")),
    ("replayed at another host", lambda w: w.ask("GET", SECRET, by=None, host="other",
        **w.replayed("GET", SECRET, "host", "date")), FORGED),
    ("a signature of nothing", lambda w: w.ask("GET", SECRET, by=None, authorization=
        f'Signature keyId="{w.signers["jill"].key_id}",algorithm="ed25519-sha512",headers="",signature=""'),
     (400, "InvalidHeader")),
    # By presigned URLs.
    ("presigned by himself", lambda w: w.ask("GET", w.url("bob"), by=None), DENIED),
    ("an expired one", lambda w: w.ask("GET", w.url("jill", expires=int(time.time()) - 1), by=None), PRESIGNED),
    ("one made to last", lambda w: w.ask("GET", w.url("jill", expires=int(time.time()) - 1) + "&expires=9999999999",
        by=None), PRESIGNED),
    ("one for another object", lambda w: w.ask("GET", w.url("jill", "/jill/public/open").replace("/public/open?",
        "/stor/secret?"), by=None), FORGED),
    ("one for another method", lambda w: w.ask("GET", w.url("jill", methods="PUT"), by=None), FORGED),
    ("one for other methods", lambda w: w.ask("GET", w.url("jill", methods="HEAD,PUT"), by=None), PRESIGNED),
    ("one with one more method", lambda w: w.ask("GET", w.url("jill", methods="HEAD,PUT").replace("HEAD%2C",
        "GET%2CHEAD%2C"), by=None), FORGED),
    ("one for what is below", lambda w: w.ask("GET", w.url("jill", "/jill/stor").replace("/stor?", "/stor/secret?"),
        by=None), FORGED),
    ("one with one more parameter", lambda w: w.ask("PUT", w.url("jill", methods="PUT") + "&metadata=true", by=None),
     FORGED),
    ("one for another host", lambda w: w.ask("GET", w.url("jill"), by=None, host="other"), FORGED),
    ("one for another host, so forwarded", lambda w: w.ask("GET", w.url("jill"), by=None, host="other",
        x_forwarded_host=w.host), FORGED),
    ("one in the name of his key", lambda w: w.ask("GET", w.url("jill").replace(w.signers["jill"].fingerprint.replace(
        ":", "%3A"), w.signers["bob"].fingerprint.replace(":", "%3A")), by=None), NO_KEY),
    ("one to store an object, as a link", lambda w: w.ask("PUT", w.url("jill", "/jill/public/open", "PUT"), by=None,
        body=b"", **link_to(SECRET)), PRESIGNED),
    ("one to store an object, as a directory", lambda w: w.ask("PUT", w.url("jill", "/jill/stor/new", "PUT"), by=None,
        body=b"", **DIRECTORY), PRESIGNED),
    ("one to store an object, for its metadata", lambda w: w.ask("PUT", w.url("jill", "/jill/public/open", "PUT")
        + "&metadata=true", by=None, m_a="x"), FORGED),
    ("one for a job", lambda w: w.ask("POST", w.url("jill", "/jill/jobs", "POST"), by=None,
        body=b'{"phases":[{"exec":"cat"}]}', content_type="application/json"), DENIED),
    ("one for inputs of her job", lambda w: w.ask("POST", w.url("jill", f"/jill/jobs/{w.live}/live/in", "POST"),
        by=None, body=SECRET.encode()), DENIED),
    ("one for the end of her job", lambda w: w.ask("POST", w.url("jill", f"/jill/jobs/{w.live}/live/cancel", "POST"),
        by=None), DENIED),
    ("one for a token", lambda w: w.ask("POST", w.url("jill", "/jill/tokens", "POST"), by=None), DENIED),
    ("one without its signature", lambda w: w.ask("GET", w.url("jill").partition("&signature")[0], by=None), PRESIGNED),
    ("one and his own signature", lambda w: w.ask("GET", w.url("jill", expires=int(time.time()) - 1)), DENIED),
    # By tokens.
    ("a token of his own", lambda w: w.ask("GET", SECRET, by=None, **w.token("bob", None)), DENIED),
    ("a token of his job", lambda w: w.ask("GET", SECRET, by=None, **w.token("bob", w.own)), DENIED),
    ("his job's token for a token", lambda w: w.ask("POST", "/bob/tokens", by=None, **w.token("bob", w.own)), DENIED),
    ("his job's token for her token", lambda w: w.ask("POST", "/jill/tokens", by=None, **w.token("bob", w.own)),
     DENIED),
    ("her token", lambda w: w.ask("POST", "/jill/tokens"), DENIED),
    ("his token for a token", lambda w: w.ask("POST", "/bob/tokens", by=None, **w.token("bob", None)), DENIED),
    ("a token of her finished job", lambda w: w.ask("GET", SECRET, by=None, **w.token("jill", w.done.job)), NO_TOKEN),
    ("her finished job's token for a token", lambda w: w.ask("POST", "/jill/tokens", by=None,
        **w.token("jill", w.done.job)), NO_TOKEN),
    ("a token of no job", lambda w: w.ask("GET", SECRET, by=None, **w.token("jill", "x")), NO_TOKEN),
    ("a token made up", lambda w: w.ask("GET", SECRET, by=None, authorization="Token amlsbA=="), NO_TOKEN),
    ("the agents' protocol", lambda w: w.ask("POST", "/_agent/v1/adopt", body=b"{}"), (403, "InvalidAgentSecret")),
    # By her jobs.
    ("a job in her name", lambda w: w.ask("POST", "/jill/jobs", body=b'{"phases":[{"exec":"cat"}]}',
        content_type="application/json"), DENIED),
    ("her jobs", lambda w: w.ask("GET", "/jill/jobs"), DENIED),
    ("her live jobs", lambda w: w.ask("GET", "/jill/jobs?state=live"), DENIED),
    ("the status of her job", lambda w: w.ask("GET", f"/jill/jobs/{w.live}/live/status"), DENIED),
    ("the inputs of her job", lambda w: w.ask("GET", f"/jill/jobs/{w.live}/live/in"), DENIED),
    ("the outputs of her job", lambda w: w.ask("GET", f"/jill/jobs/{w.live}/live/out?limit=1"), DENIED),
    ("the errors of her job", lambda w: w.ask("GET", f"/jill/jobs/{w.live}/live/err"), DENIED),
    ("what her job's tasks took", lambda w: w.ask("GET", f"/jill/jobs/{w.live}/live/usage"), DENIED),
    ("the tasks of her job", lambda w: w.ask("GET", f"/jill/jobs/{w.live}/live/tasks?limit=1"), DENIED),
    ("the tasks of her job as his", lambda w: w.ask("GET", f"/bob/jobs/{w.live}/live/tasks?limit=1"), NO_JOB),
    ("an input for her job", lambda w: w.ask("POST", f"/jill/jobs/{w.live}/live/in", body=b"/bob/stor/a\n"), DENIED),
    ("the end of her job's input", lambda w: w.ask("POST", f"/jill/jobs/{w.live}/live/in/end"), DENIED),
    ("the end of her job", lambda w: w.ask("POST", f"/jill/jobs/{w.live}/live/cancel"), DENIED),
    ("her job as his", lambda w: w.ask("GET", f"/bob/jobs/{w.live}/live/status"), NO_JOB),
    ("the end of her job as his", lambda w: w.ask("POST", f"/bob/jobs/{w.live}/live/cancel"), NO_JOB),
    ("an input for her job as his", lambda w: w.ask("POST", f"/bob/jobs/{w.live}/live/in", body=SECRET.encode()),
     NO_JOB),
    ("the archive of her job", lambda w: w.ask("GET", f"/jill/jobs/{w.done.job}/in.txt"), DENIED),
    ("the archive's status", lambda w: w.ask("GET", f"/jill/jobs/{w.done.job}/job.json"), DENIED),
    ("the directory of her job", lambda w: w.ask("GET", f"/jill/jobs/{w.done.job}/stor"), DENIED),
    ("an output of her job", lambda w: w.ask("GET", w.done.outputs[0]), DENIED),
    ("a place in her job", lambda w: w.ask("PUT", f"/jill/jobs/{w.live}/stor/x", body=b"x"), DENIED),
    # By the door of her task's instance.
    ("at the door of her task", lambda w: w.ask("GET", SECRET, at=w.door.removeprefix("http://").strip("/")), UNHEARD),
    ("as nobody", lambda w: w.ask("GET", SECRET, by=None, at=w.door.removeprefix("http://").strip("/")), UNHEARD),
    ("there, with a token", lambda w: w.ask("GET", SECRET, by=None, at=w.door.removeprefix("http://").strip("/"),
        **w.token("bob", w.own)), UNHEARD),
    ("there, for an output", lambda w: w.ask("PUT", "/jill/stor/x", body=b"x", x_manta_stream="stdout",
        at=w.door.removeprefix("http://").strip("/")), UNHEARD),
]  # fmt: skip

# By what his job is told to read or write: the error that the job has, code and message.
RUNS: list[tuple[str, Callable[[World], Ended], Answer | tuple[str, str]]] = [
    ("an input", lambda w: w.run("cat", inputs=[SECRET]),
     ("AuthorizationError", f'permission denied: "{SECRET}"')),
    ("an input of a reducer", lambda w: w.run(reduce("cat"), inputs=[SECRET]),
     ("AuthorizationError", f'permission denied: "{SECRET}"')),
    ("an input with two slashes", lambda w: w.run("cat", inputs=["/jill//stor/secret"]),
     ("AuthorizationError", 'permission denied: "/jill//stor/secret"')),
    ("an input beside what is public", lambda w: w.run("cat", inputs=["/jill/public/../stor/secret"]),
     ("AuthorizationError", 'permission denied: "/jill/public/../stor/secret"')),
    ("an input below himself", lambda w: w.run("cat", inputs=["/bob/stor/../../jill/stor/secret"]),
     ("AuthorizationError", 'permission denied: "/bob/stor/../../jill/stor/secret"')),
    ("her job's archive as input", lambda w: w.run("cat", inputs=[f"/jill/jobs/{w.done.job}/in.txt"]),
     ("AuthorizationError", 'permission denied: "/jill/jobs/{done}/in.txt"')),
    ("her job's output as input", lambda w: w.run("cat", inputs=[w.done.outputs[0]]),
     ("AuthorizationError", 'permission denied: "{output}"')),
    ("a directory of hers as input", lambda w: w.run("cat", inputs=[f"/jill/jobs/{w.done.job}/stor"]),
     ("AuthorizationError", 'permission denied: "/jill/jobs/{done}/stor"')),
    ("a link that could not be made as input", lambda w: w.run("cat", inputs=["/bob/stor/l"]),
     ("ResourceNotFoundError", 'no such object: "/bob/stor/l"')),
    ("an asset", lambda w: w.run({"exec": f"cat /assets{SECRET}", "assets": [SECRET]}, inputs=["/bob/stor/a"]),
     ("TaskInitError", f'failed to dispatch task: first of 1 error: error retrieving asset "{SECRET}" '
      "(status code 403)")),
    ("an asset for init", lambda w: w.run({"exec": "true", "init": f"cat /assets{SECRET}", "assets": [SECRET]},
        inputs=["/bob/stor/a"]), ("TaskInitError", "failed to dispatch task: first of 1 error: error retrieving asset "
      f'"{SECRET}" (status code 403)')),
    ("mcat", lambda w: w.run(f"mcat {SECRET}", "cat", inputs=["/bob/stor/a"]),
     ("AuthorizationError", f'permission denied: "{SECRET}"')),
    ("mcat for a reducer", lambda w: w.run(f"mcat -r 0 {SECRET}", reduce("cat"), inputs=["/bob/stor/a"]),
     ("AuthorizationError", f'permission denied: "{SECRET}"')),
    ("mpipe", lambda w: w.run(f"mpipe {SECRET} < /dev/null", inputs=["/bob/stor/a"]),
     ("UserTaskError", "user command exited with code 1")),
    ("mpipe that makes directories", lambda w: w.run("mpipe -p /jill/stor/d/x < /dev/null", inputs=["/bob/stor/a"]),
     ("UserTaskError", "user command exited with code 1")),
    ("mtee", lambda w: w.run(f"mtee {SECRET} < /dev/null", inputs=["/bob/stor/a"]),
     ("UserTaskError", "user command exited with code 1")),
]  # fmt: skip

# From inside of a task, at its own door and at others: arguments of curl, and what it is answered.
INSIDE: list[tuple[str, str, Answer]] = [
    ("GET", "$U/jill/stor/secret", DENIED),
    ("a range", "-r 0-3 $U/jill/stor/secret", DENIED),
    ("listing", "$U/jill/stor", DENIED),
    ("overwriting", "-T /dev/null $U/jill/stor/secret", DENIED),
    ("deleting", "-X DELETE $U/jill/stor/secret", DENIED),
    ("metadata", "-X PUT -H 'm-a: x' $U/jill/stor/secret?metadata=true", DENIED),
    (
        "a link",
        "-X PUT -H 'content-type: application/json; type=link' -H 'location: /jill/stor/secret' $U/bob/stor/l",
        DENIED,
    ),
    ("an output in her place", "-T /dev/null -H 'x-manta-stream: stdout' $U/jill/stor/x", DENIED),
    ("with a signature", "-H 'authorization: Signature keyId=\"/jill/keys/x\"' $U/jill/stor/secret", DENIED),
    ("with the token of her job", "-H 'authorization: {spent}' $U/jill/stor/secret", DENIED),
    ("for another host", "-H 'host: jill' -H 'x-forwarded-for: 127.0.0.1' $U/jill/stor/secret", DENIED),
    ("dots", "--path-as-is $U/jill/public/../stor/secret", NO_PATH),
    ("encoded slashes", "$U/jill/public/..%2fstor/secret", NO_PATH),
    ("a token", "-X POST $U/bob/tokens", DENIED),
    ("her token", "-X POST $U/jill/tokens", DENIED),
    ("a job in her name", "-X POST -H 'content-type: application/json' -d '{{\"phases\":[]}}' $U/jill/jobs", DENIED),
    ("her job", "$U/jill/jobs/{live}/live/status", DENIED),
    ("the end of her job", "-X POST $U/jill/jobs/{live}/live/cancel", DENIED),
    ("the agents' protocol", "-X POST $U/_agent/v1/poll", (403, "InvalidAgentSecret")),
    ("her task's door", "{door}jill/stor/secret", AT_HIS_OWN),
    ("her task's door, to write", "-T /dev/null {door}jill/stor/x", AT_HIS_OWN),
    ("her task's door, for an output", "-T /dev/null -H 'x-manta-stream: stdout' {door}jill/stor/x", AT_HIS_OWN),
    (
        "her task's door, by reference",
        "-X PUT -H 'x-manta-reference: true' {door}jill/stor/secret",
        NAMED if OWN_LOOPBACK else UNHEARD,
    ),
    ("her task's door, for his own", "{door}bob/stor/a", OPEN if OWN_LOOPBACK else UNHEARD),
    ("the front door", "{url}/jill/stor/secret", UNHEARD if OWN_LOOPBACK else DENIED),
    ("the front door, otherwise", "http://127.1.2.3:{port}/jill/stor/secret", UNHEARD),
]

# The same with the commands that a task has, which need no key there.
COMMANDS = [
    "mget /jill/stor/secret",
    "mget -a jill /jill/stor/secret",
    "mget -H 'range: bytes=0-3' /jill/stor/secret",
    "mls /jill/stor",
    "mls /jill/jobs/{done}",
    "mfind /jill/stor",
    "mput -f /etc/passwd /jill/stor/secret",
    "mput -p -f /etc/passwd /jill/stor/d/x",
    "mmkdir /jill/stor/d",
    "mrm /jill/stor/secret",
    "mrm -r /jill/stor",
    "mln /jill/stor/secret /bob/stor/l",
    "mln /bob/stor/a /jill/stor/l",
    "mjob get -a jill {live}",
]
