"""The page in a real browser: a script inside a copy of it clicks, and leaves what it saw in the page."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.report.fake_study import NASTY, fake_study, nasty_study, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"),
]

LISTEN = """<script>
window.seen = {errors: []};
addEventListener("error", (event) => seen.errors.push(event.message));
addEventListener("securitypolicyviolation", (event) => seen.errors.push("refused " + event.blockedURI));
</script>"""

ACT = """<script>
const all = (query) => [...document.querySelectorAll(query)];
const id = (name) => document.getElementById(name);
const set = (name, value) => { id(name).value = value; id(name).dispatchEvent(new Event("change")); };
const column = (index) => all("#table tbody tr").map((row) => row.children[index].dataset.value);
{
  seen.rows = all("#table tbody tr").length;
  all("#table thead button")[1].click(); seen.falling = column(1);
  all("#table thead button")[1].click(); seen.rising = column(1);
  const lines = () => all("#curves-chart polyline").length;
  seen.curves = lines();
  all("#curves-legend button")[0].click(); seen.oneOff = lines();
  id("curves-none").click(); seen.noneOn = lines();
  id("curves-all").click(); seen.allOn = lines();
  seen.dots = all("#curves-chart circle").length;
  seen.ticks = all("#frontier-chart text[text-anchor=middle]").map((text) => Number(text.getAttribute("x")));
  seen.metrics = [...id("curves-metric").options].map((option) => option.value);
  set("curves-metric", "train/loss"); seen.losses = lines();
  id("curves-filter").value = "identities"; id("curves-filter").dispatchEvent(new Event("input"));
  seen.filtered = lines();
  const marks = () => all("#frontier-chart .mark").map((mark) => mark.getAttribute("transform"));
  seen.marks = marks(); set("frontier-x", "latency_ms"); seen.moved = marks();
  const mark = all("#frontier-chart .mark")[0];
  mark.dispatchEvent(new MouseEvent("mousemove", {clientX: 9, clientY: 9}));
  seen.tip = id("tip").textContent; seen.tipHidden = id("tip").hidden;
  seen.bars = all("#bars-chart rect").length;
  seen.examples = all("#searches .search").length;
  seen.strips = all("#searches .search:first-child .strip").length;
  seen.shown = all("#searches .strip img").length;
  const changed = () => id("difference-summary").textContent;
  seen.difference = changed();
  const pair = [id("difference-one").value, id("difference-other").value];
  set("difference-one", pair[1]); set("difference-other", pair[0]); seen.reversed = changed();
  seen.changedPictures = all("#difference .strip").every((strip) => strip.querySelector("img"));
  seen.changedCards = all("#difference .search").length;
  seen.configs = all("#configs-table tbody tr").length;
  id("configs-all").click(); seen.allConfigs = all("#configs-table tbody tr").length;
  set("configs-one", "0"); set("configs-other", "1"); seen.sideBySide = all("#configs-table thead th").length;
  const theme = document.documentElement.dataset.theme;
  id("theme").click(); seen.themes = [theme, document.documentElement.dataset.theme];
  seen.injected = all("[onerror], main script, main iframe").length;
  seen.sideways = document.documentElement.scrollWidth - innerWidth;
  const outcome = document.createElement("pre");
  outcome.id = "outcome"; outcome.textContent = JSON.stringify(seen); document.body.append(outcome);
}
</script>"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
]


def browse(page: Path, folder: Path, *flags: str) -> dict[str, Any]:
    """What the clicking script saw; asserts that the browser's console stayed silent."""
    copy = folder / "copy.html"
    text = page.read_text().replace("<title>", LISTEN + "<title>", 1)
    copy.write_text(text.replace("</body>", ACT + "</body>"))
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", *flags, copy.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    outcome = re.search(r'<pre id="outcome">(.*?)</pre>', done.stdout, re.S)
    assert outcome, f"the page's scripts did not come to an end: {done.stderr[-2000:]}"
    seen: dict[str, Any] = json.loads(html.unescape(outcome[1]))
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert seen["errors"] == [] and console == []
    return seen


def test_it_loads_sorts_switches_and_compares(tmp_path: Path) -> None:
    study = fake_study(tmp_path, compressions=["tiny", "small"])
    street = study.street
    paths = write_report(study.directory, searches=study.searches, read=street.read, scenes=street.scenes)
    seen = browse(paths.page, tmp_path)
    assert seen["rows"] == 6
    falling = [float(value) for value in seen["falling"] if value]
    assert falling == sorted(falling, reverse=True) and seen["falling"][-1] == ""
    assert [value for value in seen["rising"] if value] == seen["falling"][-2::-1]
    assert seen["rising"][-1] == ""  # what was not measured stays at the end, either way
    assert (seen["curves"], seen["oneOff"], seen["noneOn"], seen["allOn"]) == (8, 7, 0, 8)
    assert seen["metrics"][0] == "val/mAP" and seen["losses"] == 8 and seen["filtered"] == 4
    assert len(seen["marks"]) == 5 and seen["marks"] != seen["moved"]
    assert "mAP: " in seen["tip"] and "latency, ms: " in seen["tip"] and not seen["tipHidden"]
    assert seen["bars"] == 4
    assert seen["examples"] == 6 and seen["strips"] == 2 and seen["shown"] == 6 * 2 * 8
    better, worse = map(int, re.findall(r"(\d+) searches better, (\d+) worse", seen["difference"])[0])
    assert f"{worse} searches better, {better} worse" in seen["reversed"]
    assert seen["changedCards"] > 2 and seen["changedPictures"]
    assert 0 < seen["configs"] < seen["allConfigs"] and seen["sideBySide"] == 3
    assert sorted(seen["themes"]) == ["dark", "light"]


def test_a_curve_of_one_point_is_a_dot_and_one_size_has_an_axis(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1], steps=30)
    for path in study.directory.glob("*/metrics.jsonl"):  # one validation, at the end
        path.write_text(path.read_text().splitlines(keepends=True)[-2])
    seen = browse(write_report(study.directory).page, tmp_path)
    assert seen["dots"] == 2
    assert len(seen["ticks"]) >= 2 and all(0 < place < 800 for place in seen["ticks"])


def test_it_fits_a_phone(tmp_path: Path) -> None:
    study = fake_study(tmp_path, seeds=[1])
    paths = write_report(study.directory, searches=study.searches, read=study.street.read)
    assert browse(paths.page, tmp_path, "--window-size=500,900")["sideways"] <= 0


def test_nothing_from_outside_is_run(tmp_path: Path) -> None:
    seen = browse(write_report(nasty_study(tmp_path)).page, tmp_path)
    assert seen["injected"] == 0 and seen["rows"] == 2
    assert NASTY in seen["metrics"] and NASTY in seen["tip"]


def test_200_runs_are_no_burden(tmp_path: Path) -> None:
    sizes = [f"size{number}" for number in range(25)]
    study = fake_study(tmp_path, seeds=range(4), compressions=sizes, failed=30, steps=40)
    some = dict(list(study.searches.items())[:20])
    paths = write_report(study.directory, searches=some, read=study.street.read)
    assert paths.page.stat().st_size < 5_000_000
    seen = browse(paths.page, tmp_path)
    assert seen["rows"] == 52 and seen["curves"] == 200 and seen["noneOn"] == 0
