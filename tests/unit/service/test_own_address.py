"""The URL at which other gateways reach a gateway."""

from __future__ import annotations

import pytest

from scheduler.service.settings import own_address

DATABASE = "postgresql://remora@127.0.0.1:5432/remora"


@pytest.mark.parametrize(
    ("said", "host", "url", "database", "expected"),
    [
        ("https://g1.example", "", "http://0.0.0.0:80", DATABASE, "https://g1.example"),
        (None, "10.0.0.5", "http://10.0.0.5:8080", DATABASE, "http://10.0.0.5:8080"),
        (None, "", "http://0.0.0.0:8080", DATABASE, "http://127.0.0.1:8080"),
        (None, "::", "https://[::]:8443", "postgresql:///remora", "https://127.0.0.1:8443"),
        (None, "", "http://0.0.0.0:8080", "postgresql://u:p@127.0.0.1:5432,h2:5432/db", "http://127.0.0.1:8080"),
        (None, "", "http://0.0.0.0:8080", "postgresql://[::x/db", None),
    ],
)
def test_it_is_said_or_listened_at_or_leads_to_the_database(
    said: str | None, host: str, url: str, database: str, expected: str | None
) -> None:
    assert own_address(said, host, url, database) == expected
