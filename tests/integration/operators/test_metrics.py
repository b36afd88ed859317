"""Metrics keep Prometheus' conventions, are bounded in number, say what goes on, and are documented."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.eventually import eventually_here
from tests.support.services.objects import client
from tests.support.services.records import ENGINE
from tests.support.services.service import Service, serving
from tests.support.services.user import User

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
# Units that are no base units, and what belongs to a type and stands in the name of another.
NOT_BASE = re.compile(r"_(ms|us|milliseconds|minutes|hours|days|kb|mb|gb|kilobytes|megabytes|percent)(_|$)")
MOST_SERIES = 400
LABELS = set("method route code le node place limit outcome where result id version kind memory state provider".split())
TOKEN = "a token of 22 letters."


@pytest.fixture(scope="module")
def text(service: Service, user: User) -> str:
    ended = user.run("wc", inputs=[user.put("a", b"1"), user.put("b", b"2")])
    eventually_here(lambda: user.jobs.status_or_archive(ended.job).get("timeArchiveDone"), "it is archived")
    httpx.get(f"{service.url}/{user.login}/public/none")

    def sampled() -> str:
        found = httpx.get(f"{service.url}/metrics").text
        return found if "remora_stored_bytes" in found and "remora_jobs_finished_total" in found else ""

    return eventually_here(sampled, "the records are sampled")


@pytest.fixture(scope="module")
def of_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The metrics of an agent whose instances have run two tasks, one of which failed."""
    directory = tmp_path_factory.mktemp("measured")
    token = directory / "token"
    token.write_text(TOKEN)
    options = ("--agent-metrics", "127.0.0.1:0", "--metrics-token-file", str(token))
    with serving(directory / "state", *options) as measured, client(measured) as session:
        user = User(session)
        said = [json.loads(line) for line in measured.log.read_text().splitlines() if "metrics are served" in line]
        url = f"http://127.0.0.1:{said[0]['port']}"
        user.run('test "$(cat)" = 1', inputs=[user.put("a", b"1"), user.put("b", b"2")])
        assert httpx.get(f"{url}/metrics").status_code == 403
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert httpx.get(f"{url}/other", headers=bearer).status_code == 404
        yield httpx.get(f"{url}/metrics", headers=bearer).text


def values_of(text: str) -> dict[tuple[object, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def documented(text: str) -> set[str]:
    """The families of ours in a text, as the document names them."""
    found = text_string_to_metric_families(text)
    names = {family.name + ("_total" if family.type == "counter" else "") for family in found}
    return {name for name in names if not name.startswith("process_")}


def test_an_agents_own_metrics_say_what_its_node_does(of_agent: str):
    values = values_of(of_agent)
    assert values["remora_agent_attempts_total", ("outcome", "ok")] == 1
    assert values["remora_agent_attempts_total", ("outcome", "failed")] == 1
    assert values[("remora_agent_supervisors",)] == 1
    assert values[("remora_agent_slots",)] >= 1
    assert values["remora_disk_free_bytes", ("place", "node")] > 0
    assert values[("process_resident_memory_bytes",)] > 0


def test_pools_are_summed_by_kind_on_both_sides(service: Service, user: User, text: str):
    job = user.create("sleep 600")
    user.add(job, user.put("one", b"1"))

    def told() -> float:
        values = values_of(httpx.get(f"{service.url}/metrics").text)
        found = [value for (name, *labels), value in values.items() if name == "remora_pool_instances"]
        return sum(found)

    eventually_here(lambda: told() == 1, "the pool is told to have an instance")
    user.session.call("POST", f"/{user.login}/jobs/{job}/live/cancel")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="NO PROMTOOL: metrics are checked by our own rules alone")
def test_promtool_finds_nothing_in_them_and_in_the_alerts(text: str, of_agent: str):
    for each in (text, of_agent):
        done = subprocess.run(["promtool", "check", "metrics"], input=each, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    rules = DOCUMENT.parents[1] / "jobspecs" / "monitoring" / "alerts.yml"
    done = subprocess.run(["promtool", "check", "rules", str(rules)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_names_types_units_and_help_are_as_the_conventions_say(text: str, of_agent: str):
    check_conventions(text)
    check_conventions(of_agent)


def check_conventions(text: str) -> None:
    families = list(text_string_to_metric_families(text))
    series = sum(len(family.samples) for family in families)
    assert series < MOST_SERIES
    assert "_created" not in text
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert re.fullmatch("(remora|process)_[a-z][a-z0-9_]*[a-z0-9]", family.name), family.name
        assert family.documentation.endswith("."), family.name
        assert not NOT_BASE.search(family.name), family.name
        for sample in family.samples:
            totals = sample.name.endswith("_total")
            assert totals == (family.type == "counter"), sample.name
            assert "jobs/" not in str(sample.labels)
            assert set(sample.labels) <= LABELS


def test_they_say_what_goes_on(text: str):
    values = values_of(text)
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


def test_each_is_in_the_document_and_the_document_has_no_others(text: str, of_agent: str):
    said = set(re.findall(r"^\| `(remora_[a-z_]+)", DOCUMENT.read_text(), re.MULTILINE))
    families = documented(text) | documented(of_agent)
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
