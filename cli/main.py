"""The entry points: one function a program, each importing its own command only."""

from __future__ import annotations

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
    from cli.frame import run_program

    run_program(program, import_module(PROGRAMS[program]).command)


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
