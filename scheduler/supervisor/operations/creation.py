"""Creation of an operation: checks that need the records, and the locks on its output.

What is refused here leaves nothing behind: a path that the owner may not write, a directory that does not exist, an
output that is there already, one that another operation writes, and an account with too many operations.
"""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.model import access, errors, names
from scheduler.model.checks import problem
from scheduler.model.job import JobSpec
from scheduler.model.operations.document import Mode, Operation, Output
from scheduler.objects import locks, namespace
from scheduler.objects.entries import NO_HEADERS
from scheduler.records.database import Connection
from scheduler.supervisor.cache.live_jobs import LiveJob
from scheduler.supervisor.jobs import intake
from scheduler.supervisor.jobs.intake import UNKNOWN, Creator

# Operations of one account that are not over.
MAX_OPERATIONS = 50


def create_job(
    c: Connection,
    owner: str,
    spec: JobSpec,
    now: int,
    headers: Mapping[str, str] = NO_HEADERS,
    supervisor: int | None = None,
    creator: Creator = UNKNOWN,
) -> LiveJob:
    """Record a job of any type (see `intake.create_job`). Raises WireError."""
    if spec.operation is not None:
        _check_room(c, owner)
        _check_alias(c, owner, spec.operation.alias)
        check_output(c, owner, spec.operation.output)
    live = intake.create_job(c, owner, spec, now, headers, supervisor, creator)
    if spec.operation is not None:
        _begin(c, live, spec.operation, now)
    return live


def check_output(c: Connection, owner: str, output: Output) -> None:
    """Check that an operation of `owner` may have an output. Raises WireError."""
    if (path := output.path) is None:
        return
    if not access.may_write(owner, path):
        raise problem("output.path", f'"{path}" is not below /{owner}')
    if names.is_root(path) or names.top(path) not in names.TOP_LEVEL:
        raise problem("output.path", f'"{path}" is not the path of an object or a directory')
    parent = names.split(path)[0]
    above = namespace.lookup(c, parent)
    if above is None:
        raise errors.directory_does_not_exist(parent)
    if not above.is_directory:
        raise errors.parent_not_directory(parent)
    check_target(c, output, path)


def check_target(c: Connection, output: Output, path: str) -> None:
    """Check that what is at an output's path may make room for it. Raises WireError."""
    entry = namespace.lookup(c, path)
    if entry is None:
        return
    if output.whole:
        if entry.is_directory:
            raise errors.output_unsuitable(f"{path} is a directory: end the path in a slash to make a set in it")
        if output.mode is Mode.CREATE:
            raise errors.output_exists(path)
        return
    if not entry.is_directory:
        raise errors.output_unsuitable(f"{path} is an object: it cannot be a set of parts")
    if output.mode is Mode.CREATE and entry.children:
        raise errors.output_not_empty(path, entry.children)
    if inside := c.one("directories_in", dir=path):
        raise errors.output_unsuitable(f"{path}/{inside['name']} is a directory: a set has objects only")


def _check_room(c: Connection, owner: str) -> None:
    found = c.one("operations_of_owner", owner=owner)
    if found is not None and found["n"] >= MAX_OPERATIONS:
        raise errors.too_many_operations(owner, MAX_OPERATIONS)


def _check_alias(c: Connection, owner: str, alias: str | None) -> None:
    """An alias names one operation at a time; those that are over keep theirs."""
    if alias is not None and (found := c.one("alias_in_use", owner=owner, alias=alias)):
        raise errors.alias_in_use(alias, found["uuid"])


def _begin(c: Connection, live: LiveJob, operation: Operation, now: int) -> None:
    if operation.output.path is not None:
        locks.take(c, live.id, operation.output.path, shared=operation.output.mode is Mode.APPEND)
    if operation.inputs is not None:
        live.inputs = intake.add_inputs(c, live, operation.inputs, now)
        intake.flag_end(c, live)
        live.input_done = True
