"""What can go wrong, as sentences."""

from __future__ import annotations

from scheduler.model.names import as_line


class Problem(Exception):  # noqa: N818 (not every problem is an error)
    """Something the user should read. `name` says what kind it is, and may be empty."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.name = name

    def __str__(self) -> str:
        return f"{self.name}: {self.message}" if self.name else self.message


class Refused(Problem):
    """The service answered with an error. `name` is its code with `Error` at the end."""

    def __init__(self, status: int, name: str, message: str, retry_after: str = "") -> None:
        super().__init__(message, name)
        self.status = status
        self.retry_after = retry_after  # the header of that name


class NoSuchJob(Refused):
    """There is neither a record nor an archive of the job."""

    def __init__(self, job: str) -> None:
        super().__init__(404, "ResourceNotFoundError", f'no job "{as_line(job)}"')


def refusal(status: int, code: str | None, message: str | None) -> Refused:
    """The error of a reply; without a body (HEAD) its name comes from the status: 404 is `NotFoundError`."""
    from http import HTTPStatus

    phrase = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else f"Http {status}"
    name = code or phrase.title().replace(" ", "").replace("-", "").replace("'", "")
    said = as_line(message or phrase)  # there may be a name in it
    return Refused(status, name if name.endswith("Error") else name + "Error", said)


def no_such_path(path: str) -> Refused:
    return refusal(404, "ResourceNotFound", f"{path} was not found")


def unreachable(url: str, reason: str) -> Problem:
    why = reason or "no answer"
    return Problem(f"cannot reach {url}: {why} (is the service running? see: remora up)", "ConnectError")


def silent(url: str, seconds: float) -> Problem:
    return Problem(f"{url} has been silent for {seconds:.0f} s", "TimeoutError")


def broken(url: str, reason: str) -> Problem:
    return Problem(f"the connection to {url} broke: {reason}", "ConnectionError")
