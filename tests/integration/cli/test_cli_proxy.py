"""A service elsewhere is asked by the proxy that the environment names, one on this machine never is."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cli.client.problem import Problem
from cli.client.session import Session
from cli.client.settings import Settings
from cli.client.transport.proxy import Proxy, is_listed, proxy_for
from tests.integration.cli.test_cli_tls import certificate  # noqa: F401 (a fixture)
from tests.support.services.plain_manta import Manta, Reply, manta

DATA = b"0123456789" * 10_000


@dataclass
class Relay:
    """A proxy that takes whatever host it is asked for to one port. `asked` is what it was asked."""

    url: str
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)


@contextmanager
def relay(port: int) -> Iterator[Relay]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def note(self) -> None:
            running.asked.append((self.command, self.path, self.headers.get("proxy-authorization")))

        def do_GET(self) -> None:
            self.note()
            with socket.create_connection(("127.0.0.1", port)) as onward:
                path = "/" + self.path.split("/", 3)[3]
                onward.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
                pump(onward, self.connection)
            self.close_connection = True

        def do_CONNECT(self) -> None:
            self.note()
            with socket.create_connection(("127.0.0.1", port)) as onward:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pump, args=(onward, self.connection))
                back.start()
                pump(self.connection, onward)
                back.join()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    running = Relay(f"http://me:se%20cret@127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def fetched(url: str) -> list[bytes]:
    """The object by a plain exchange and by the pool."""
    with Session(Settings(url=url, account="jill", home="jill", no_auth=True, insecure=True)) as session:
        small = session.call("GET", "/jill/stor/a").content
        with session.stream("GET", "/jill/stor/a") as response:
            return [small, response.read()]


def serve(service: Manta) -> int:
    service.replies["GET /jill/stor/a"] = [Reply(body=DATA)]
    return int(service.url.rpartition(":")[2])


def test_plain_http_is_asked_by_the_proxy_with_the_name_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    with manta() as service, relay(serve(service)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert fetched("http://remora.example:8081") == [DATA, DATA]
    assert proxy.asked == [("GET", "http://remora.example:8081/jill/stor/a", "Basic bWU6c2UgY3JldA==")] * 2


def test_https_goes_through_a_tunnel(
    monkeypatch: pytest.MonkeyPatch,
    certificate: Path,  # noqa: F811
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with manta(context) as service, relay(serve(service)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert fetched("https://remora.example") == [DATA, DATA]
    assert {(method, path) for method, path, _ in proxy.asked} == {("CONNECT", "remora.example:443")}


def test_a_service_on_this_machine_is_asked_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:1")
    with manta() as service:
        serve(service)
        assert fetched(service.url) == [DATA, DATA]


def test_a_proxy_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setattr("cli.client.transport.connection.DELAYS", ())
    with pytest.raises(Problem, match=r"cannot reach http://remora\.example by the proxy http://127\.0\.0\.1:1: "):
        fetched("http://remora.example")


@pytest.mark.parametrize(
    ("host", "listed", "direct"),
    [
        ("a.example", ".example", True), ("a.example", "example", True), ("a.example", "*.example", True),
        ("a.example", "ample", False), ("a.example", "*", True), ("10.0.0.1", "10.0.0.1:80", True),
        ("10.0.0.1", "10.0.0.1:81", False), ("a.example", " x , A.example ", True), ("a.example", "", False),
    ],
)  # fmt: skip
def test_hosts_that_need_no_proxy_are_listed(host: str, listed: str, direct: bool) -> None:
    assert is_listed(host, 80, listed) is direct


@pytest.mark.parametrize("name", ["socks5://x:1", "https://x:1", "http://", "http://x:y"])
def test_a_proxy_of_another_kind_is_refused(name: str) -> None:
    with pytest.raises(Problem, match="not of the form http://HOST:PORT"):
        proxy_for("http://remora.example", {"http_proxy": name})


def test_a_proxy_may_be_named_without_a_scheme() -> None:
    assert proxy_for("https://remora.example", {"all_proxy": "x:3128"}) == Proxy("x", 3128)
