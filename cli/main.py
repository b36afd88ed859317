"""The entry points: one function a program, each importing its own command only."""

from __future__ import annotations

import gc
import sys
import warnings
from functools import partial
from importlib import import_module

# program: where its click command is
PROGRAMS = {
    "remora": "cli.service",
    "mls": "cli.commands.mls",
    "mput": "cli.commands.mput",
    "mget": "cli.commands.mget",
    "mrm": "cli.commands.mrm",
    "mrmdir": "cli.commands.mrmdir",
    "mcp": "cli.commands.mcp",
    "mmv": "cli.commands.mmv",
    "msync": "cli.commands.msync",
    "mmkdir": "cli.commands.mmkdir",
    "mln": "cli.commands.mln",
    "minfo": "cli.commands.minfo",
    "mfind": "cli.commands.mfind",
    "mdu": "cli.commands.mdu",
    "mmd5": "cli.commands.mmd5",
    "msign": "cli.commands.msign",
    "mchattr": "cli.commands.mchattr",
    "mchmod": "cli.commands.mchmod",
    "mlogin": "cli.commands.mlogin",
    "mjob": "cli.jobs",
    "mrjob": "cli.mrjob",
    "mrerrors": "cli.mrerrors",
    "mrjobreport": "cli.mrjobreport",
}


def run(program: str) -> None:
    gc.disable()  # what is imported stays: to look for garbage in it takes longer than the imports of some modules
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn developers, and it is users who would read it
    try:
        from cli.frame import run_program

        command = import_module(PROGRAMS[program]).command
    except KeyboardInterrupt:
        sys.exit(130)
    gc.freeze()
    gc.enable()
    run_program(program, command)


remora = partial(run, "remora")
mls = partial(run, "mls")
mput = partial(run, "mput")
mget = partial(run, "mget")
mrm = partial(run, "mrm")
mrmdir = partial(run, "mrmdir")
mcp = partial(run, "mcp")
mmv = partial(run, "mmv")
msync = partial(run, "msync")
mmkdir = partial(run, "mmkdir")
mln = partial(run, "mln")
minfo = partial(run, "minfo")
mfind = partial(run, "mfind")
mdu = partial(run, "mdu")
mmd5 = partial(run, "mmd5")
msign = partial(run, "msign")
mchattr = partial(run, "mchattr")
mchmod = partial(run, "mchmod")
mlogin = partial(run, "mlogin")
mjob = partial(run, "mjob")
mrjob = partial(run, "mrjob")
mrerrors = partial(run, "mrerrors")
mrjobreport = partial(run, "mrjobreport")
