"""The errors that users see: replies of the API, and error records of jobs.

Both are closed lists. A *wire error* answers an HTTP request: a status, a code, one
sentence. A *job error* is a record that belongs to a task, or to an input that
never became a task: a code from `JobErrorCode` and one sentence. Clients branch on
the codes, so each code is spelled once, here.

Source of both lists: the Manta storage and jobs API.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    TASK_TIMEOUT = "TaskTimeoutError"  # an addition of Remora's: only a phase with a timeout has it
    USER_TASK = "UserTaskError"


def account_does_not_exist(login: str) -> WireError:
    return WireError(403, "AccountDoesNotExist", f"{login} does not exist")


def authorization_failed(who: str, path: str) -> WireError:
    return WireError(403, "AuthorizationFailed", f"{who} is not allowed to access {path}")


def account_blocked(login: str) -> WireError:
    return WireError(403, "AccountBlocked", f"{login} is not an active account")


def too_many_requests(who: str, most: int, seconds: int) -> WireError:
    message = f"more than {most} requests a second come from {who}: try again after {seconds} s"
    return WireError(429, "TooManyRequests", message, {"Retry-After": str(seconds)})


def over_limit(message: str) -> WireError:
    return WireError(409, "LimitExceeded", message)


def over_quota(message: str) -> WireError:
    return WireError(507, "QuotaExceeded", message)


def service_unavailable(message: str) -> WireError:
    return WireError(503, "ServiceUnavailable", message)


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


def expected_upgrade(path: str) -> WireError:
    return WireError(400, "ExpectedUpgrade", f"{path} requires a Websocket Upgrade")


def session_not_found(job: str) -> WireError:
    return WireError(404, "ResourceNotFound", f"Session for job {job} was not found")


def session_taken(where: str, end: str) -> WireError:
    return WireError(409, "SessionTaken", f"the session of {where} has a {end} already")


def task_not_running(task: int) -> WireError:
    return WireError(409, "TaskNotRunning", f"no task {task} of this job runs")


def not_an_operation(job: str, verb: str) -> WireError:
    return WireError(409, "NotAnOperation", f"job {job} is a job of phases: {verb} is for operations")


def not_completable(job: str, kind: str) -> WireError:
    why = f"a {kind} of a part of its input is no result: abort it, or let it end"
    return WireError(409, "NotCompletable", f"job {job} cannot be completed early: {why}")


def alias_in_use(alias: str, job: str) -> WireError:
    return WireError(409, "AliasInUse", f"{alias} is the alias of job {job}, which is not over")


def no_stderr(attempt: str, removed: bool) -> WireError:
    why = "it was removed since" if removed else "it has printed none, or is not among those whose stderr is kept"
    return WireError(404, "NoStderr", f"there is no stderr of attempt {attempt}: {why}")


def input_gone(attempt: str, why: str) -> WireError:
    return WireError(409, "InputGone", f"the input of attempt {attempt} cannot be had any more: {why}")


def input_unknown(attempt: str) -> WireError:
    why = "it is a range of keys of all inputs, which the task finds itself"
    return WireError(409, "InputUnknown", f"the input of attempt {attempt} is not known: {why}")


def no_such_task(job: str, task: str) -> WireError:
    return WireError(404, "ResourceNotFound", f"job {job} has no task or attempt {task}")


def task_state(task: str, state: str) -> WireError:
    return WireError(409, "InvalidTaskState", f"task {task} is {state}: only one that may still run can be given up")


def task_needed(task: str, kind: str) -> WireError:
    return WireError(409, "TaskNeeded", f"task {task} is a {kind}, which the others need: it cannot be given up")


def invalid_parameter(value: str, name: str) -> WireError:
    return WireError(400, "InvalidParameter", f'"{value}" is invalid for "{name}"')


def invalid_role(role: str) -> WireError:
    return WireError(409, "InvalidRole", f'Role "{role}" is invalid.')


def invalid_role_tag(role: str) -> WireError:
    return WireError(409, "InvalidRoleTag", f'Role tag "{role}" is invalid.')


def invalid_resource(path: str) -> WireError:
    return WireError(400, "InvalidResource", f'"{path}" is invalid')


def link_not_object(location: str) -> WireError:
    return WireError(400, "LinkNotObject", f"{location} is not an object")


def lock_conflict(path: str, job: str) -> WireError:
    return WireError(409, "LockConflict", f"{path} is locked by job {job}")


def output_exists(path: str) -> WireError:
    return WireError(409, "OutputExists", f'{path} exists: say mode "replace" (--replace)')


def output_not_empty(path: str, entries: int) -> WireError:
    many = "1 entry" if entries == 1 else f"{entries:,} entries"
    return WireError(
        409, "OutputNotEmpty", f'{path} has {many}: say mode "replace" or "append" (--replace or --append)'
    )


def output_unsuitable(message: str) -> WireError:
    return WireError(409, "OutputUnsuitable", message)


def too_many_operations(login: str, most: int) -> WireError:
    return WireError(409, "TooManyOperations", f"{login} has {most} operations that are not over, of at most {most}")


def method_not_allowed(method: str) -> WireError:
    return WireError(405, "MethodNotAllowedError", f"{method} is not allowed")


def no_such_route(url: str) -> WireError:
    return WireError(404, "ResourceNotFound", f"{url} does not exist")


def not_enough_space(what: str) -> WireError:
    return WireError(507, "NotEnoughSpace", f"not enough free space for {what}")


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


def request_too_large(size: int, limit: int) -> WireError:
    """`size` is the announced size, or the number of bytes received so far."""
    said = f"body too large: {size} bytes or more, and at most {limit} are taken"
    return WireError(413, "RequestEntityTooLargeError", said)


def source_object_not_found(location: str) -> WireError:
    return WireError(404, "SourceObjectNotFound", f"{location} was not found")


def invalid_header(message: str) -> WireError:
    return WireError(400, "InvalidHeader", message)


def request_expired(date: str) -> WireError:
    return WireError(400, "RequestExpired", f"Date header {date} is too old")


def scheme_not_allowed(scheme: str) -> WireError:
    return WireError(403, "AuthorizationSchemeNotAllowed", f"{scheme} is not allowed (use 'signature')")


AGENT_REFUSED = "InvalidAgentSecret"


def invalid_agent_secret() -> WireError:
    return WireError(403, AGENT_REFUSED, "this is not the credential of a node of this service")


def other_certificate(node: str) -> WireError:
    return WireError(403, AGENT_REFUSED, f"the credential of node {node} takes a connection with its certificate")


def other_node(node: str, what: str) -> WireError:
    return WireError(403, "AuthorizationFailed", f"the credential of node {node} is not good for {what}")


def node_taken(node: str, silent: float) -> WireError:
    """The error for a second agent with the name of a node whose agent was heard so many seconds ago."""
    why = f"node {node} has an agent with another store, which was heard {silent:.0f} s ago: two agents have this name"
    return WireError(409, "NodeTaken", why)


def invalid_algorithm(algorithm: str, supported: Iterable[str]) -> WireError:
    """The error for a signature by an algorithm other than the `supported` ones."""
    known = ", ".join(supported)
    return WireError(
        401,
        "InvalidAlgorithm",
        f"{algorithm} is not a supported signing algorithm. Supported algorithms are {known}",
    )


def invalid_key_id() -> WireError:
    return WireError(403, "InvalidKeyId", "the KeyId token you provided is invalid")


def user_does_not_exist(login: str, user: str) -> WireError:
    return WireError(403, "UserDoesNotExist", f"{login}/{user} does not exist")


def key_does_not_exist(login: str, fingerprint: str) -> WireError:
    return WireError(403, "KeyDoesNotExist", f"/{login}/keys/{fingerprint} does not exist")


def invalid_signature() -> WireError:
    return WireError(403, "InvalidSignature", "The signature we calculated does not match the one you sent")


def invalid_presigned(message: str) -> WireError:
    return WireError(403, "InvalidQueryStringAuthentication", message)


def invalid_token() -> WireError:
    return WireError(403, "InvalidAuthenticationToken", "the authentication token you provided is malformed")


def invalid_version(version: str, method: str, path: str) -> WireError:
    return WireError(400, "InvalidVersion", f"{version} is not supported by {method} {path}")


def too_many_connections() -> WireError:
    return WireError(503, "ServiceUnavailable", "too many connections: try again later", {"Connection": "close"})


def headers_too_large() -> WireError:
    return WireError(431, "RequestHeaderFieldsTooLargeError", "a line of the request or its headers is too long")


def upload_timeout() -> WireError:
    return WireError(408, "UploadTimeout", "request took too long to send data", {"Connection": "close"})


def upload_abandoned() -> WireError:
    return WireError(499, "UploadAbandoned", "the body ended before it was complete", {"Connection": "close"})


def content_length_required() -> WireError:
    return WireError(411, "ContentLengthRequired", "Content-Length must be >= 0")


def content_md5_mismatch(expected: str, was: str) -> WireError:
    return WireError(400, "ContentMD5Mismatch", f"Content-MD5 expected {expected}, but was {was}")


def invalid_argument(message: str) -> WireError:
    return WireError(400, "InvalidArgumentError", message)


def invalid_durability_level(most: int) -> WireError:
    return WireError(400, "InvalidDurabilityLevel", f"durability-level must be between 1 and {most}")


def invalid_link(location: str) -> WireError:
    return WireError(400, "InvalidLink", f"{location} is an invalid link")


def location_required() -> WireError:
    return WireError(400, "LocationRequired", "An HTTP Location header must be specified")


def invalid_max_content_length(value: str) -> WireError:
    return WireError(400, "InvalidMaxContentLength", f"{value} is an invalid max-content-length value")


def max_content_length_exceeded(limit: int) -> WireError:
    return WireError(413, "MaxContentLengthExceeded", f"request has exceeded {limit} bytes", {"Connection": "close"})


def invalid_update(header: str, on_directory: bool = False) -> WireError:
    where = " on a directory" if on_directory else ""
    return WireError(400, "InvalidUpdate", f'overwrite of "{header}" forbidden{where}')


def not_acceptable(path: str, content_type: str) -> WireError:
    return WireError(406, "NotAcceptable", f"{path} accepts {content_type}")


def multiple_ranges() -> WireError:
    return WireError(501, "NotImplemented", "multi-range requests not supported")


def range_not_satisfiable(value: str, size: int) -> WireError:
    headers = {"Content-Range": f"bytes */{size}"}
    return WireError(416, "RequestedRangeNotSatisfiable", f"{value} is an invalid range", headers)


def query_parameter_forbidden(names: Iterable[str]) -> WireError:
    listed = ", ".join(names)
    return WireError(
        403, "QueryParameterForbidden", f"Use of these query parameters is restricted to operators: {listed}"
    )
