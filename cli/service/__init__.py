"""remora: the service's own command."""

from __future__ import annotations

from cli.frame import Lazy

MODULES = {
    "up": "up",
    "agent": "agent",
    "status": "status",
    "down": "down",
    "logs": "logs",
    "backup": "backup",
    "restore": "restore",
    "install-service": "install_service",
    "env": "env",
    "user": "user",
    "key": "key",
    "image": "image",
    "gateway": "gateway",
    "supervisor": "supervisor",
    "cluster": "cluster",
    "jobs": "jobs",
    "cancel": "cancel",
    "usage": "usage",
    "limits": "limits",
    "top": "top",
    "verify": "verify",
    "doctor": "doctor",
    "demo": "demo",
    "version": "version",
    "completion": "completion",
    "man": "man",
}

command = Lazy(
    "remora",
    commands_in="cli.service",
    modules=MODULES,
    help="""Compute jobs that ride on stored objects: Unix commands as map and reduce phases next to the data.

    \b
    remora demo                 see it work: a word count, in a minute
    remora up                   a whole service on this machine, in the foreground
    remora user add LOGIN       an account for another person
    remora top                  what goes on: jobs, tasks, nodes

    With a service up, these talk to it: mls mput mget mrm mmkdir mln minfo mfind (objects) and mjob (jobs).
    """,
)
