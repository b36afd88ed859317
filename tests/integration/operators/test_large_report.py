"""The report of a job of 10,000 tasks is small, needs no network, and has the sums of `mjob cost`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.services.service import Service
from tests.support.services.user import Ended, User, reduce

TASKS = 10_000
MOST_BYTES = 2_000_000
BROWSER = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium"))), None)
PICTURES = Path(__file__).parents[3] / "build" / "pictures"  # what a person may look at afterwards
PNG = b"\x89PNG\r\n\x1a\n"

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def ended(service: Service, user: User) -> Ended:
    name = user.put("one", b"1")
    job = user.create(": ", reduce("wc -l"))
    for _ in range(TASKS // 500):
        user.add(job, *[name] * 500)
    user.patience = 600
    return user.finish(job)


@pytest.fixture(scope="module")
def page(service: Service, ended: Ended, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("report") / "report.html"
    service.run("mrjobreport", ended.job, "-o", str(file))
    return file


def test_it_is_small_and_names_no_other_place(page: Path):
    text = page.read_text()
    assert len(text) <= MOST_BYTES
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?:|<script", text)
    assert "default-src 'none'" in text


def test_its_sums_are_those_of_cost(service: Service, ended: Ended):
    cost = json.loads(service.text("mjob", "cost", "--json", ended.job))
    report = json.loads(service.text("mrjobreport", "--json", ended.job))
    assert (report["total"], report["cost"]) == (cost["total"], cost["phases"])
    assert report["total"]["tasks"] == TASKS + 1
    assert [phase["ran"] for phase in report["phases"]] == [TASKS, 1]


def test_its_picture_is_drawn_as_svg_and_png(service: Service, ended: Ended, tmp_path: Path):
    for name, begins in (("stream.svg", b"<svg "), ("stream.png", PNG)):
        service.run("mrjobreport", ended.job, "-o", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(begins)
    keep(tmp_path / "stream.png", "stream.png")


@pytest.mark.skipif(BROWSER is None, reason="NO CHROMIUM: nobody looks at the report")
def test_a_browser_without_a_network_shows_it(page: Path, tmp_path: Path):
    assert BROWSER is not None
    file = tmp_path / "page.png"
    alone = ["unshare", "--user", "--map-root-user", "--net"]
    said = subprocess.run(
        [*alone, BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         "--window-size=1200,2400", f"--screenshot={file}", page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert file.exists(), said.stderr
    assert file.read_bytes().startswith(PNG)
    assert file.stat().st_size > 20_000  # it is not a blank page
    keep(file, "report.png")


def keep(file: Path, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    shutil.copy(file, PICTURES / name)
