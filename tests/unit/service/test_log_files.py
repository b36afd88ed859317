"""The audit log: complete lines of many writers; rotated; floods of denied requests are sampled."""

from __future__ import annotations

import json
import os
import threading

import pytest

from scheduler import audit
from scheduler.audit import KEPT, LOOK_SECONDS, SAMPLE, LineFile, Logs, Sampler, line, text_line


def lines(path):
    return [json.loads(one) for one in path.read_text().splitlines()]


def test_an_event_is_a_line_of_json_with_what_is_known(tmp_path):
    logs = Logs(tmp_path / "audit.log", tmp_path / "access.log", access_as_text=True)
    logs.audited("object", {"account": "jill", "job": None, "path": "/jill/stor/\n\x1b", "note": "x" * 9000})
    logs.accessed({"account": "jill", "status": 204})
    logs.close()
    (found,) = lines(tmp_path / "audit.log")
    assert found.pop("time").endswith("Z")
    assert found.pop("note") == "x" * audit.MAX_TEXT + "…"
    assert found == {"event": "object", "account": "jill", "path": "/jill/stor/\n\x1b"}
    assert "\x1b" not in (tmp_path / "audit.log").read_text()
    assert (tmp_path / "access.log").read_text().endswith(" request account=jill status=204\n")
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600
    assert "\n" not in text_line("e", {"a": "1\n2"}, 0)


def test_a_full_file_is_rotated_and_the_oldest_goes(tmp_path):
    file = LineFile(tmp_path / "a", max_bytes=100)
    for number in range(30):
        file.append(f"{number:50}")
    file.close()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a", *(f"a.{number}" for number in range(1, KEPT + 1))]
    assert (tmp_path / "a").read_text().split() == ["29"]
    assert (tmp_path / "a.1").read_text().split() == ["28"]


def test_a_file_that_was_renamed_is_left_after_a_moment_and_no_line_is_lost(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("scheduler.audit.time.monotonic", lambda: now[0])
    file = LineFile(tmp_path / "a")
    file.append("1")
    (tmp_path / "a").rename(tmp_path / "a.1")
    file.append("2")
    now[0] += LOOK_SECONDS
    file.append("3")
    file.close()
    assert (tmp_path / "a.1").read_text().split() == ["1", "2"]
    assert (tmp_path / "a").read_text().split() == ["3"]


def test_a_name_that_cannot_be_opened_costs_no_descriptor_of_others(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("scheduler.audit.LOOK_SECONDS", 0.0)
    file = LineFile(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "a.1")
    (tmp_path / "a").symlink_to("/etc/passwd")
    file.append("1")
    others = os.open(tmp_path / "others", os.O_CREAT | os.O_RDWR)  # would get the number of a file that was closed
    file.append("2")
    (tmp_path / "a").unlink()
    file.append("3")
    assert os.fstat(others).st_size == 0
    os.close(others)
    file.close()
    assert (tmp_path / "a").read_text().split() == ["3"]
    assert [record.message for record in caplog.records] == ["a log file takes no lines"]


def test_many_writers_lose_no_line_where_one_of_them_rotates(tmp_path):
    path, each = tmp_path / "a", 100

    def write(number: int) -> None:
        file = LineFile(path, max_bytes=5000)
        for at in range(each):
            file.append(json.dumps([number, at]))
        file.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [tuple(json.loads(one)) for file in tmp_path.iterdir() for one in file.read_text().splitlines()]
    assert sorted(found) == [(number, at) for number in range(4) for at in range(each)]


def test_a_link_or_a_directory_in_its_place_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "directory").mkdir()
    for name in ("link", "directory"):
        with pytest.raises(OSError):
            LineFile(tmp_path / name)


def test_denied_requests_of_one_caller_are_sampled_and_the_rest_is_counted(tmp_path):
    now = [0.0]
    sampler = Sampler(lambda: now[0])
    taken = [sampler.take("jill") for _ in range(SAMPLE + 5)]
    assert taken == [0] * SAMPLE + [None] * 5
    assert sampler.take("bob") == 0
    now[0] = 61.0
    assert [sampler.take("jill"), sampler.take("jill")] == [5, 0]
    logs = Logs(tmp_path / "audit.log")
    for _ in range(100):
        logs.denied({"address": "1.2.3.4"}, "1.2.3.4", "InvalidSignature")
    assert len(lines(tmp_path / "audit.log")) == SAMPLE


def test_a_disk_that_takes_no_lines_stops_nothing(tmp_path, monkeypatch, caplog):
    file = LineFile(tmp_path / "a")

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    file.append(line("e", {}))
    file.append(line("e", {}))
    assert [record.message for record in caplog.records] == ["a log file takes no lines"]
