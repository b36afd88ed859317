"""Errors as the wire shows them, and as jobs record them.

Two closed lists. A *wire error* answers an HTTP request: a status, a code, one
sentence. A *job error* is a record that belongs to a task or to an input that
never became one: a code from `JobErrorCode` and one sentence. Clients branch on
the codes, so codes are spelled once, here.

Source of both lists: the Manta storage and jobs API.
"""

from __future__ import annotations

from enum import StrEnum


class WireError(Exception):
    """An HTTP error reply: `{"code": code, "message": message}` with `status`.

    `headers` are added to the reply (`Content-Range` of a 416, `Connection: close`).
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class JobErrorCode(StrEnum):
    """The codes of job error records, as spelled in `err.txt` and `live/err`."""

    RESOURCE_NOT_FOUND = "ResourceNotFoundError"
    INVALID_ARGUMENT = "InvalidArgumentError"
    AUTHORIZATION = "AuthorizationError"
    SERVICE_UNAVAILABLE = "ServiceUnavailableError"
    INTERNAL = "InternalError"
    JOB_CANCELLED = "JobCancelledError"
    TASK_INIT = "TaskInitError"
    TASK_KILLED = "TaskKilledError"
    USER_TASK = "UserTaskError"


def account_does_not_exist(login: str) -> WireError:
    return WireError(403, "AccountDoesNotExist", f"{login} does not exist")


def authorization_failed(who: str, path: str) -> WireError:
    return WireError(403, "AuthorizationFailed", f"{who} is not allowed to access {path}")


def authorization_required() -> WireError:
    return WireError(401, "AuthorizationRequired", "Authorization is required")


def bad_request(message: str) -> WireError:
    return WireError(400, "BadRequestError", message)


def concurrent_request(path: str) -> WireError:
    return WireError(409, "ConcurrentRequest", f"{path} was being concurrently updated")


def directory_does_not_exist(parent: str) -> WireError:
    return WireError(404, "DirectoryDoesNotExist", f"{parent} does not exist")


def directory_limit_exceeded(path: str) -> WireError:
    return WireError(409, "DirectoryLimitExceeded", f"{path} cannot exceed 1,000,000 entries")


def directory_not_empty(path: str) -> WireError:
    return WireError(400, "DirectoryNotEmpty", f"{path} is not empty")


def internal_error() -> WireError:
    return WireError(500, "InternalError", "an unexpected error occurred")


def invalid_content(why: str) -> WireError:
    return WireError(400, "InvalidContent", f"Invalid JSON: {why}")


def invalid_job(message: str) -> WireError:
    return WireError(400, "InvalidJob", message)


def invalid_job_state(job: str, state: str) -> WireError:
    return WireError(409, "InvalidJobState", f"job {job} is in state '{state}'")


def invalid_parameter(value: str, name: str) -> WireError:
    return WireError(400, "InvalidParameter", f'"{value}" is invalid for "{name}"')


def invalid_resource(path: str) -> WireError:
    return WireError(400, "InvalidResource", f'"{path}" is invalid')


def link_not_object(location: str) -> WireError:
    return WireError(400, "LinkNotObject", f"{location} is not an object")


def method_not_allowed(method: str) -> WireError:
    return WireError(405, "MethodNotAllowedError", f"{method} is not allowed")


def no_such_route(url: str) -> WireError:
    return WireError(404, "ResourceNotFound", f"{url} does not exist")


def not_enough_space(megabytes: int) -> WireError:
    return WireError(507, "NotEnoughSpace", f"not enough free space for {megabytes} MB")


def not_found(path: str) -> WireError:
    return WireError(404, "ResourceNotFound", f"{path} was not found")


def operation_not_allowed_on_directory(path: str, method: str) -> WireError:
    return WireError(400, "OperationNotAllowedOnDirectory", f"{path} is a directory: {method} is not allowed")


def operation_not_allowed_on_root(method: str, path: str) -> WireError:
    return WireError(400, "OperationNotAllowedOnRootDirectory", f"{method} is not allowed on {path}")


def parent_not_directory(parent: str) -> WireError:
    return WireError(400, "ParentNotDirectory", f"{parent} is not a directory")


def precondition_failed(message: str) -> WireError:
    return WireError(412, "PreconditionFailed", message)


def request_too_large() -> WireError:
    return WireError(413, "RequestEntityTooLargeError", "body too large")


def source_object_not_found(location: str) -> WireError:
    return WireError(404, "SourceObjectNotFound", f"{location} was not found")
