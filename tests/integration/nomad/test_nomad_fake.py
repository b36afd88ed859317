"""The fake Nomad answers as the real one did when it was recorded."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.nomad import nomad_scenarios
from tests.support.nomad.fake_nomad import FakeNomad
from tests.support.nomad.fake_scheduler import Node

# What differs by nature: texts of parsers, and answers that nobody reads.
LOOSE = {"plan"}


def recording(name: str) -> list[dict[str, Any]]:
    return json.loads((nomad_scenarios.RECORDINGS / f"{name}.json").read_text())["exchanges"]


def differences(real: Any, fake: Any, where: str) -> list[str]:
    """Where what the fake says has a name or a type that the real one has not. It may say less."""
    if isinstance(real, dict) and isinstance(fake, dict):
        unknown = [f"{where}.{key} is unknown" for key in fake if key not in real]
        return unknown + [
            text for key in fake if key in real for text in differences(real[key], fake[key], f"{where}.{key}")
        ]
    if isinstance(real, list) and isinstance(fake, list):
        if bool(real) != bool(fake):
            return [f"{where} has {len(fake)} elements, not {len(real)}"]
        return [text for one in fake for text in differences(merged(real), one, f"{where}[]")]
    if real is None or fake is None or type(real) is type(fake):
        return []
    return [f"{where} is {fake!r}, not {real!r}"]


@pytest.mark.parametrize("scenario", ["life", "no_room", "refusals", "failures", "drain"])
async def test_the_fake_answers_as_the_recorded_one(scenario: str) -> None:
    async with FakeNomad(Node("n1", 16_000), run=True) as nomad:
        found = await nomad_scenarios.perform(nomad.url, scenario)
    real = recording(scenario)
    assert [(one["name"], one["status"], one["type"]) for one in found] == [
        (one["name"], one["status"], one["type"]) for one in real
    ]
    for ours, theirs in zip(found, real, strict=True):
        if "text" in theirs:
            assert normal(ours["text"]) == normal(theirs["text"]), theirs["name"]
        elif theirs["name"] not in LOOSE:
            assert differences(theirs["body"], ours["body"], theirs["name"]) == []


def merged(elements: list[Any]) -> Any:
    """One with the names of all: what is empty is left out by the real one."""
    if not all(isinstance(one, dict) for one in elements):
        return elements[0] if elements else None
    return {key: value for one in elements for key, value in one.items()}


def normal(text: str) -> str:
    """Without numbers."""
    return re.sub(r"\d+", "#", text.strip())


async def test_the_fake_tells_of_events_as_the_recorded_one() -> None:
    async with FakeNomad(Node("n1", 16_000), run=True) as nomad:
        found = await nomad_scenarios.events(nomad.url, 6)
    real = recording("events")
    kinds = {(event["Topic"], event["Type"]) for frame in real for event in frame.get("Events", [])}
    ours = {(event["Topic"], event["Type"]) for frame in found for event in frame.get("Events", [])}
    assert found[0] == real[0] == {}
    assert {"Job", "Allocation", "Evaluation"} <= {topic for topic, _ in ours} <= {topic for topic, _ in kinds}
    sample = {event["Topic"]: event for frame in real for event in frame.get("Events", [])}
    for frame in found[1:]:
        for event in frame["Events"]:
            theirs = sample[event["Topic"]]
            assert event.keys() <= theirs.keys()
            assert event["Payload"].keys() <= theirs["Payload"].keys()
