"""The vocabulary of jobs: create, add inputs, ask, wait, list what came out.

The service lets a client wait (`status?wait=SECONDS` answers when something has changed) and
page through whole lists (`?limit=…&marker=…`, the next marker in `X-Remora-Next`). A plain
Manta knows neither: its status answers at once, its lists are the last hundred records. So
both are used as hints: an answer that comes back at once unchanged is polled for, more and
more seldom; a list without the header is complete. When the live record is gone (404), the
archive in the job's directory has the same facts.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from cli.client import objects
from cli.client.problem import NoSuchJob, Problem, Refused, refusal
from cli.client.session import Session, json_of
from cli.client.transfer import encoded_md5

if TYPE_CHECKING:
    from cli.client.transport.connection import Reply

Status = dict[str, Any]
LIST_PAGE = 1000
NEXT_MARKER = "x-remora-next"
LOG_ATTEMPT = "x-remora-attempt"
WAIT_SECONDS = 20
FIRST_DELAY, LONGEST_DELAY = 0.1, 10.0
ARCHIVE_SECONDS = 10.0
# Between two looks at a busy job: at most this share of its age, so that watching costs nothing and ends promptly.
PAUSE_SHARE, LONGEST_PAUSE = 0.05, 0.25
ARCHIVES = {"in": "in.txt", "out": "out.txt", "fail": "fail.txt", "err": "err.txt"}
JSON_TYPE = {"content-type": "application/json"}


class LogPage(NamedTuple):
    """A piece of what an attempt has printed, and where the next one begins."""

    attempt: int
    data: bytes
    following: int


class Jobs:
    """The jobs of the session's account. A job is named by its UUID."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.account = session.settings.account

    @property
    def root(self) -> str:
        """The directory that has a directory for each job."""
        return f"/{self.account}/jobs"

    def directory(self, job: str) -> str:
        return f"{self.root}/{job}"

    def live(self, job: str, name: str) -> str:
        return f"{self.directory(job)}/live/{name}"

    def create(self, document: bytes) -> str:
        """Create a job from its JSON text; its id. Raises `Refused`."""
        headers = {"content-type": "application/json; type=job", "content-md5": encoded_md5(document)}
        reply = self.session.call("POST", self.root, headers=headers, body=document)
        if "location" not in reply.headers:
            raise Problem(f"{reply.url} did not say where the job is (is the URL right?)")
        return str(reply.headers["location"]).rstrip("/").rpartition("/")[2]

    def add_inputs(self, job: str, names: Iterable[bytes]) -> None:
        """Add one batch of inputs, raw UTF-8 names. Raises `Refused`."""
        body = b"\n".join(names)
        self._post(job, "in", {"content-type": "text/plain"}, body)

    def end_input(self, job: str) -> None:
        self._post_empty(job, "in/end")

    def cancel(self, job: str) -> None:
        self._post_empty(job, "cancel")

    def control(
        self,
        job: str,
        what: str,
        body: Mapping[str, Any] | None = None,
        query: dict[str, str] | None = None,
    ) -> None:
        """Ask something of a job that runs: `suspend`, `resume`, `attempts/0.17.1/abort` … Raises `Refused`."""
        text = json.dumps(body or {}).encode()
        headers = {**JSON_TYPE, "content-md5": encoded_md5(text)}
        try:
            self.session.call("POST", self.live(job, what), headers=headers, body=text, query=query)
        except Refused as error:
            if error.status != 404:
                raise
            state = self.status_or_archive(job)["state"]
            if state != "done":
                raise
            raise refusal(409, "InvalidJobState", f"job {job} is in state '{state}'") from None

    def _post_empty(self, job: str, what: str) -> None:
        body = b"{}"
        self._post(job, what, {**JSON_TYPE, "content-md5": encoded_md5(body)}, body)

    def _post(self, job: str, what: str, headers: Mapping[str, str], body: bytes) -> None:
        try:
            self.session.call("POST", self.live(job, what), headers=headers, body=body)
        except Refused as error:
            if error.status != 404:
                raise
            state = self.status_or_archive(job)["state"]
            raise refusal(409, "InvalidJobState", f"job {job} is in state '{state}'") from None

    def status(self, job: str, wait: int = 0) -> Status:
        """The job's status; with `wait`, once something has changed or so many seconds have passed."""
        query = {"wait": str(wait)} if wait else None
        record: Status = json_of(self.session.call("GET", self.live(job, "status"), query=query))
        return record

    def status_or_archive(self, job: str) -> Status:
        """As `status`; of a job whose live record is gone, what its `job.json` says."""
        return self._live_or_archived(job, "status", "job.json")

    def usage(self, job: str) -> dict[str, Any]:
        """What the job's tasks took: `{"id", "phases": [{"phase", "tasks", "wall_us", …}, …]}`. Raises `Refused`."""
        return self._live_or_archived(job, "usage", "usage.json")

    def _live_or_archived(self, job: str, live: str, archived: str) -> dict[str, Any]:
        try:
            reply = self.session.call("GET", self.live(job, live))
        except Refused as error:
            if error.status != 404:
                raise
            with archive_of(job):
                reply = self.session.call("GET", f"{self.directory(job)}/{archived}")
        record: dict[str, Any] = json_of(reply)
        return record

    def wait(self, job: str, seen: Callable[[Status], None] = lambda _: None) -> Status:
        """Wait until the job is done; its last status. `seen` is shown every status on the way."""
        started = time.monotonic()
        last = self.status_or_archive(job)
        delay = FIRST_DELAY
        while True:
            seen(last)
            if last["state"] == "done":
                return last
            time.sleep(min(LONGEST_PAUSE, PAUSE_SHARE * (time.monotonic() - started)))
            asked = time.monotonic()
            status = self.status(job, wait=WAIT_SECONDS)
            if status == last and time.monotonic() - asked < FIRST_DELAY:
                time.sleep(delay)
                delay = min(LONGEST_DELAY, delay * 2)
            last = status

    def wait_archived(self, job: str) -> None:
        """Wait until a job that is done has its archive too, which is soon; until then its directory still changes."""
        deadline = time.monotonic() + ARCHIVE_SECONDS
        while not self.status_or_archive(job).get("timeArchiveDone") and time.monotonic() < deadline:
            time.sleep(FIRST_DELAY)

    def remove(self, job: str, parallel: int) -> None:
        """Remove the directory of a job that is done, with all that the job left in it. Raises `Refused`."""
        self.wait_archived(job)
        objects.remove_tree(self.session, self.directory(job), parallel)

    def records(self, job: str, kind: str, page: int = LIST_PAGE) -> Iterator[bytes]:
        """The lines of a list: kind `in`, `out`, `fail` (names) or `err` (JSON), fetched `page` at a time."""
        begun = False
        try:
            for reply in self._pages(self.live(job, kind), {"limit": str(page)}):
                begun = True
                yield from lines_of([reply.content])
        except Refused as error:
            if error.status != 404 or begun:
                raise
        if begun:
            return
        path = f"{self.directory(job)}/{ARCHIVES[kind]}"
        with archive_of(job), self.session.stream("GET", path) as archived:
            yield from lines_of(archived.iter_raw())

    def tasks(self, job: str, **only: str) -> Iterator[dict[str, Any]]:
        """The tasks of a job by phase, as long as it has a record; the first page is asked for now.

        `only`: `state`, `stage`, `task`; or `number=` that of one. Raises `NoSuchJob` if the record is gone: the
        archive has no tasks.
        """
        return self._listed(job, "tasks", only)

    def attempts(self, job: str, **only: str) -> Iterator[dict[str, Any]]:
        """The attempts of an operation, as long as it has a record. `only`: `state`, `stage` … Raises as `tasks`."""
        return self._listed(job, "attempts", only)

    def _listed(self, job: str, what: str, only: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """The JSON records of a live list of a job."""
        pages = self._pages(self.live(job, what), {"limit": str(LIST_PAGE), **only})
        with archive_of(job):
            first = next(pages)
        return (json_of(reply, line) for reply in chain([first], pages) for line in lines_of([reply.content]))

    def attempt(self, job: str, name: str) -> dict[str, Any]:
        """One attempt, with the ranges that it reads. Raises `Refused`."""
        record: dict[str, Any] = json_of(self.session.call("GET", self.live(job, f"attempts/{name}")))
        return record

    def of_attempt(self, job: str, name: str, what: str) -> Iterator[bytes]:
        """The `stderr` or the `input` of an attempt, in pieces. Raises `Refused`."""
        with self.session.stream("GET", self.live(job, f"attempts/{name}/{what}")) as reply:
            yield from reply.iter_raw()

    def log(self, job: str, task: int, stream: str, attempt: int, offset: int) -> LogPage:
        """What a running task, by its number, has printed from a byte on. Raises `Refused`; 409 if it does not run."""
        query = {"task": str(task), "stream": stream, "attempt": str(attempt), "offset": str(offset)}
        reply = self.session.call("GET", self.live(job, "log"), query=query)
        return LogPage(int(reply.headers[LOG_ATTEMPT]), reply.content, int(reply.headers[NEXT_MARKER]))

    def listing(
        self, state: str | None = None, name: str | None = None, alias: str | None = None
    ) -> Iterator[objects.Entry]:
        """The jobs there are: of a state, name or alias the live list, otherwise every job directory."""
        only = {"state": state, "name": name, "alias": alias}
        query = {key: value for key, value in only.items() if value}
        if not query:
            return objects.entries(self.session, self.root, kind="d")
        pages = self._pages(self.root, {**query, "limit": str(LIST_PAGE)})
        return (json_of(reply, line) for reply in pages for line in lines_of([reply.content]))

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Reply]:
        """The replies that make up a list, as long as each says where the next begins. Raises `Refused`."""
        query = dict(query)
        while True:
            reply = self.session.call("GET", path, query=query)
            yield reply
            if NEXT_MARKER not in reply.headers:
                return
            query["marker"] = reply.headers[NEXT_MARKER]

    def first_error(self, job: str) -> dict[str, Any] | None:
        """The first error record, or None."""
        line = next(self.records(job, "err", page=1), None)
        return json.loads(line) if line else None


@contextmanager
def archive_of(job: str) -> Iterator[None]:
    """What is asked for within the block is there, unless the job never was or has been deleted."""
    try:
        yield
    except Refused as error:
        raise NoSuchJob(job) if error.status == 404 else error from None


def lines_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The non-empty lines of a stream, without their ends."""
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line for line in whole if line)
    if rest:
        yield rest


__all__ = ["Jobs", "Status", "lines_of"]
