"""One large object in and out, over loopback.

A PUT must hash what it stores, since `Content-MD5` is promised, so it cannot beat MD5: one
peer is that hash alone, over the same file. It must also be on disk before it is answered:
the other is a copy to the same disk, flushed, which shows what the disk allows. The lower of both is what a PUT can
reach. The client is
as thin as Python allows: it sends by sendfile and receives into one buffer.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

from bench.measure import Bar, Line, interleave, seconds
from bench.setting import Setting
from cli.client.session import Session
from scheduler.model.credentials import httpsig

MIB = 1 << 20


def lines(setting: Setting) -> Iterator[Line]:
    mebibytes = setting.size(1024, 64)
    size = mebibytes * MIB
    file = setting.directory("transfer") / "file"
    with open(file, "wb") as out:
        for _ in range(mebibytes):
            out.write(os.urandom(MIB))
    path = f"{setting.home}/large"

    def rate(took: float) -> float:
        return size / took / 1e9

    put, hashed, copied, got = interleave(
        setting.rounds,
        lambda: rate(seconds(lambda: send(setting.session, path, file))),
        lambda: rate(seconds(lambda: md5(file))),
        lambda: rate(seconds(lambda: copy_to_disk(file))),
        lambda: rate(seconds(lambda: receive(setting.session, path, size))),
    )
    lower = [min(rates) for rates in zip(hashed, copied, strict=True)]
    yield Line(f"PUT of {mebibytes:,} MiB", "GB/s", put, Bar(goal=0.77), "the lower of MD5 and copy + fsync", lower)
    yield Line(f"PUT of {mebibytes:,} MiB", "GB/s", put, Bar(), "MD5 of it", hashed)
    yield Line(f"PUT of {mebibytes:,} MiB", "GB/s", put, Bar(), "copy and fsync", copied)
    yield Line(f"GET of {mebibytes:,} MiB", "GB/s", got, Bar(goal=1.0, absolute=True))


def md5(file: Path) -> str:
    with open(file, "rb") as source:
        return base64.b64encode(hashlib.file_digest(source, "md5").digest()).decode()


def copy_to_disk(file: Path) -> None:
    target = file.with_name("copy")
    shutil.copyfile(file, target)
    with open(target, "rb") as copied:
        os.fsync(copied.fileno())
    target.unlink()


def send(session: Session, path: str, file: Path) -> None:
    """PUT a file, without holding it in memory."""
    with closing(connect(session)) as connection, open(file, "rb") as source:
        connection.putrequest("PUT", path)
        for name, value in {**signed(session), "Content-Length": str(file.stat().st_size)}.items():
            connection.putheader(name, value)
        connection.endheaders()
        connection.sock.sendfile(source)
        reply = connection.getresponse()
        if reply.status != 204:
            raise RuntimeError(f"PUT was answered {reply.status}: {reply.read(1000)!r}")


def receive(session: Session, path: str, size: int) -> None:
    """GET an object into one buffer; fails unless all `size` bytes arrive."""
    with closing(connect(session)) as connection:
        connection.request("GET", path, headers=signed(session))
        reply = connection.getresponse()
        buffer = bytearray(MIB)
        total = 0
        while got := reply.readinto(buffer):
            total += got
        if (reply.status, total) != (200, size):
            raise RuntimeError(f"GET was answered {reply.status} with {total} bytes")


def connect(session: Session) -> http.client.HTTPConnection:
    address = urlsplit(session.settings.url)
    assert address.hostname is not None
    return http.client.HTTPConnection(address.hostname, address.port, timeout=120)


def signed(session: Session, method: str = "", path: str = "") -> dict[str, str]:
    """The headers that authenticate a request: a signature over the date, and with a path over the target, too."""
    date, signer = formatdate(usegmt=True), session.signer
    listed = ("date", "(request-target)") if path else ("date",)
    text = httpsig.signing_text(listed, method, path, lambda _: [date])
    key_id = f"/{session.settings.account}/keys/{signer.fingerprint}"
    proof = httpsig.authorization(key_id, signer.algorithm, listed, signer.sign(text))
    return {"Date": date, "Authorization": proof}
