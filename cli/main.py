"""The entry points: one function a program, each importing its own command only."""

from __future__ import annotations

import gc
from importlib import import_module

# program: where its click command is
PROGRAMS = {
    "remora": "cli.service",
    "mls": "cli.commands.mls",
    "mput": "cli.commands.mput",
    "mget": "cli.commands.mget",
    "mrm": "cli.commands.mrm",
    "mmkdir": "cli.commands.mmkdir",
    "mln": "cli.commands.mln",
    "minfo": "cli.commands.minfo",
    "mfind": "cli.commands.mfind",
    "mjob": "cli.jobs",
}


def run(program: str) -> None:
    gc.disable()  # what is imported stays: to look for garbage in it takes longer than the imports of some modules
    from cli.frame import run_program

    command = import_module(PROGRAMS[program]).command
    gc.freeze()
    gc.enable()
    run_program(program, command)


def remora() -> None:
    run("remora")


def mls() -> None:
    run("mls")


def mput() -> None:
    run("mput")


def mget() -> None:
    run("mget")


def mrm() -> None:
    run("mrm")


def mmkdir() -> None:
    run("mmkdir")


def mln() -> None:
    run("mln")


def minfo() -> None:
    run("minfo")


def mfind() -> None:
    run("mfind")


def mjob() -> None:
    run("mjob")
