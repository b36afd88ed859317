"""Metrics keep Prometheus' conventions, are bounded in number, say what goes on, and are documented."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually_here
from tests.support.services.records import ENGINE
from tests.support.services.service import Service
from tests.support.services.user import User

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
# Units that are no base units, and what belongs to a type and stands in the name of another.
NOT_BASE = re.compile(r"_(ms|us|milliseconds|minutes|hours|days|kb|mb|gb|kilobytes|megabytes|percent)(_|$)")
MOST_SERIES = 400
LABELS = set("method route code le node place limit outcome where result id version".split())


@pytest.fixture(scope="module")
def text(service: Service, user: User) -> str:
    ended = user.run("wc", inputs=[user.put("a", b"1"), user.put("b", b"2")])
    eventually_here(lambda: user.jobs.status_or_archive(ended.job).get("timeArchiveDone"), "it is archived")
    httpx.get(f"{service.url}/{user.login}/public/none")

    def sampled() -> str:
        found = httpx.get(f"{service.url}/metrics").text
        return found if "remora_stored_bytes" in found and "remora_jobs_finished_total" in found else ""

    return eventually_here(sampled, "the records are sampled")


def test_names_types_units_and_help_are_as_the_conventions_say(text: str):
    families = list(text_string_to_metric_families(text))
    series = sum(len(family.samples) for family in families)
    assert series < MOST_SERIES
    assert "_created" not in text
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch("remora_[a-z][a-z0-9_]*[a-z0-9]", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert not NOT_BASE.search(family.name), family.name
        for sample in family.samples:
            totals = sample.name.endswith("_total")
            assert totals == (family.type == "counter"), sample.name
            assert "jobs/" not in str(sample.labels)
            assert set(sample.labels) <= LABELS


def test_they_say_what_goes_on(text: str):
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["remora_jobs_finished_total", ("result", "done")] >= 1
    assert values["remora_task_outcomes_total", ("outcome", "committed")] >= 2
    for place in ("objects", *(["records"] if ENGINE == "sqlite" else [])):
        free, size = (values[f"remora_disk_{name}_bytes", ("place", place)] for name in ("free", "size"))
        assert 0 < free <= size
    assert values[("remora_queue_age_seconds",)] == 0
    assert values[("remora_stored_objects",)] >= 1
    assert next(value for (name, *_), value in values.items() if name == "remora_node_slots") >= 1
    assert ("remora_build_info", ("version", "0.1.0")) in values
    timed = [key for key in values if key[0].startswith("remora_http_request_duration")]
    assert not [key for key in timed if ("route", "agent") in key]


def test_each_is_in_the_document_and_the_document_has_no_others(text: str):
    said = set(re.findall(r"^\| `(remora_[a-z_]+)", DOCUMENT.read_text(), re.MULTILINE))
    found = text_string_to_metric_families(text)
    families = {family.name + ("_total" if family.type == "counter" else "") for family in found}
    assert families - said == set()
    assert said - families <= {"remora_tls_expiry_seconds"}  # which this service has no certificate for


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(text: str):
    said = set(re.findall(r"remora_[a-z_]+", DOCUMENT.read_text()))
    directory = DOCUMENT.parents[1] / "jobspecs" / "monitoring"
    panels = json.loads((directory / "dashboard.json").read_text())["panels"]
    asked = "\n".join(target["expr"] for panel in panels for target in panel.get("targets", ()))
    asked += (directory / "alerts.yml").read_text()
    names = {re.sub("_bucket$|_count$|_sum$", "", name) for name in re.findall(r"remora_[a-z_]+", asked)}
    assert names <= said
