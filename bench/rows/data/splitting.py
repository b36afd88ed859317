"""Lines to four reducers: the `msplit` program against `cp` and `mawk`.

The program runs as in a task: it asks for its outputs over a socket, and this row answers as the
agent does, with nameless files of the scratch directory. `cp` of the same file to the same place is
the bound of reading and writing; `mawk` is the fastest of the interpreters, and needs no hashing:
it sends a line by its length.
"""

from __future__ import annotations

import os
import random
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Bar, Line, interleave, seconds
from bench.peers import installed, missing
from bench.setting import Setting
from datapath import libexec, passing
from datapath.passing import Channel, Kind

REDUCERS = 4
ANSWER_SECONDS = 10.0
MAWK = '{ print > (ENVIRON["INTO"] "/part" (length($1) % 4)) }'


def lines(setting: Setting) -> Iterator[Line]:
    mawk = installed("mawk")
    into = setting.directory("split")
    size = setting.size(200_000_000, 20_000_000)
    text = write_table(into / "text", size)

    def rate(took: float) -> float:
        return size / took / 1e9

    turns = (
        lambda: rate(msplit(into, text, "md5")),
        lambda: rate(msplit(into, text, "xxh3")),
        lambda: rate(copy(into, text)),
        lambda: rate(awk(mawk, into, text)) if mawk else 0.0,
    )
    md5, xxh3, copied, interpreted = interleave(setting.size(5, 1), *turns)
    yield Line("msplit to 4, MD5", "GB/s", md5, Bar(0.3, 1.0, absolute=True), "cp", copied)
    yield Line("msplit to 4, XXH3", "GB/s", xxh3, Bar(0.5, 0.7), "cp", copied)
    if mawk is None:
        raise missing("mawk")
    yield Line("msplit to 4, MD5", "GB/s", md5, Bar(goal=8), "mawk", interpreted)


def write_table(path: Path, size: int) -> Path:
    """Write about `size` bytes of lines `key TAB text`, with fifty thousand keys."""
    chance = random.Random(1)
    rows = "".join(
        f"{chance.choice('abcdefgh')}{chance.randrange(50_000)}\t{'x' * chance.randint(5, 60)}\n" for _ in range(20_000)
    ).encode()
    with open(path, "wb") as file:
        while file.tell() < size:
            file.write(rows[: size - file.tell()])
    return path


def msplit(into: Path, text: Path, hash_name: str) -> float:
    """Seconds that `msplit` takes, from its start to its end."""
    socket = into / "agent.sock"
    listener = passing.listen(socket)
    environment = {"REMORA_SOCKET": str(socket), "MANTA_OUTPUT_BASE": "/bench"}
    command = [str(libexec("msplit")), "-n", str(REDUCERS), "--hash", hash_name]

    def work() -> None:
        with open(text, "rb") as source, subprocess.Popen(command, stdin=source, env=environment) as splitter:
            arrived(listener.fileno())
            channel = passing.accept(listener)
            try:
                parts = answer(channel, into)
            finally:
                channel.close()
            if splitter.wait() or sum(parts) < text.stat().st_size:
                raise RuntimeError(f"msplit ended with {splitter.returncode}; its parts have {parts} bytes")

    try:
        return seconds(work)
    finally:
        listener.close()
        socket.unlink()


def answer(channel: Channel, into: Path) -> list[int]:
    """Answer one tool as an agent does, with files that are removed again; returns the number of bytes in each."""
    arrived(channel.fileno())
    message = channel.receive()
    assert message is not None and message.kind == Kind.OPEN
    count = passing.decode_open(message.payload).count
    parts = [os.open(into, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC) for _ in range(count)]
    try:
        channel.send(Kind.GRANT, fds=parts)
        arrived(channel.fileno())
        message = channel.receive()
        if message is None or message.kind != Kind.COMMIT:
            raise RuntimeError("msplit went away before it was done")
        channel.send(Kind.OK)
        return [os.fstat(part).st_size for part in parts]
    finally:
        for part in parts:
            os.close(part)


def arrived(fd: int) -> None:
    if not select.select([fd], [], [], ANSWER_SECONDS)[0]:
        raise RuntimeError("msplit says nothing")


def copy(into: Path, text: Path) -> float:
    target = into / "copy"
    try:
        return seconds(lambda: subprocess.run(["cp", text, target], check=True))
    finally:
        target.unlink(missing_ok=True)


def awk(program: str, into: Path, text: Path) -> float:
    """Seconds that `mawk` takes to split the text."""
    environment = os.environ | {"INTO": str(into), "LC_ALL": "C"}
    try:
        return seconds(lambda: subprocess.run([program, "-F\t", MAWK, text], env=environment, check=True))
    finally:
        for part in into.glob("part*"):
            part.unlink()
