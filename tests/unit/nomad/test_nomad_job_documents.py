"""What Nomad is told, as golden documents; a new one is written by `REMORA_WRITE_GOLDEN=1`."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.model.tiers import DISK_GB, MEMORY_MB
from scheduler.nomad.job_documents import Booking, Template, booking_of, document, meta

GOLDEN = Path(__file__).parents[2] / "golden"
JOB = "5f0c91aa-7c1e-4d0e-8b7a-2f1f6a3e9d10"
ANY = Booking(7, JOB, 0, 1024, 8)
TEMPLATE = Template("c1u5te12", version=(2, 0, 6), shares={"n1": 2, "n2": 4, "n3": 2})
CASES: dict[str, tuple[Booking, int, Template]] = {
    "anywhere": (ANY, 4, TEMPLATE),
    "on_a_node": (replace(ANY, node="n1"), 2, TEMPLATE),
    "smallest_tier": (replace(ANY, memory_mb=MEMORY_MB[0], disk_gb=DISK_GB[0]), 1, TEMPLATE),
    "largest_tier": (replace(ANY, memory_mb=MEMORY_MB[-1], disk_gb=DISK_GB[-1], phase=3), 1, TEMPLATE),
    "before_1.8": (ANY, 4, replace(TEMPLATE, version=(1, 7, 7))),
}


@pytest.mark.parametrize("name", CASES)
def test_a_document_is_as_it_was(name):
    found = document(*CASES[name])
    path = GOLDEN / f"nomad_{name}.json"
    if os.environ.get("REMORA_WRITE_GOLDEN"):
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")
    assert found == json.loads(path.read_text())


@pytest.mark.parametrize("memory", MEMORY_MB)
@pytest.mark.parametrize("disk", DISK_GB)
def test_nomad_would_take_the_document_of_every_tier(memory, disk):
    assert complaints(document(replace(ANY, memory_mb=memory, disk_gb=disk), 1, TEMPLATE)["Job"]) == []


def complaints(job: dict[str, Any]) -> list[str]:
    """What Nomad refuses, as its validation has it."""
    [group] = job["TaskGroups"]
    [task] = group["Tasks"]
    restart = group["RestartPolicy"]
    found = ["spaces in the id"] * (" " in job["ID"] or not job["ID"])
    found += ["restart mode"] * (restart["Attempts"] == 0 and restart["Mode"] != "fail")
    found += ["restart interval"] * (restart["Interval"] < 5_000_000_000)
    found += ["disk"] * (group["EphemeralDisk"]["SizeMB"] < 10)
    found += ["memory"] * (task["Resources"]["MemoryMB"] < 10) + ["cpu"] * (task["Resources"]["CPU"] < 1)
    found += ["both disconnects"] * ("Disconnect" in group and "StopAfterClientDisconnect" in group)
    percents = [target["Percent"] for spread in job.get("Spreads", []) for target in spread["SpreadTarget"]]
    return found + ["spread"] * (sum(percents) > 100)


def test_an_id_says_what_the_instances_are_for():
    assert ANY.id == "remora.5f0c91aa.0.any.m1024d8"
    assert replace(ANY, node="n1").id == "remora.5f0c91aa.0.676b8bb8.m1024d8"


def test_different_bookings_of_a_job_have_different_ids():
    bookings = [
        Booking(7, JOB, phase, memory, disk, node)
        for phase in range(2)
        for memory in MEMORY_MB
        for disk in DISK_GB
        for node in (None, "n1", "n2", "any")
    ]
    assert len({booking.id for booking in bookings}) == len(bookings)


def test_a_booking_is_found_again_in_what_nomad_keeps():
    for booking in (ANY, replace(ANY, node="n1")):
        assert booking_of(meta(booking, "c1u5te12"), "c1u5te12") == booking


@pytest.mark.parametrize(
    "told",
    [None, {}, meta(ANY, "other"), {**meta(ANY, "c1u5te12"), "remora_pool": "x"}, {"remora_cluster": "c1u5te12"}],
)
def test_what_is_not_ours_is_no_booking(told):
    assert booking_of(told, "c1u5te12") is None
