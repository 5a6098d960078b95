"""What several processes show to Prometheus is the sum over them, whichever of them is asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from django_topsort.testing import FakeApi
from tests.contrib.test_prometheus import Figures, parse
from tests.readme import PAGES, ROOT, get_blocks
from tests.servers.serving import Site, get_kinds, name_visit, serve, wait_until

pytestmark = pytest.mark.servers

TOKEN = "a-token-of-the-tests"
PROCESSES = 3
RULES = ROOT / "django_topsort" / "contrib" / "prometheus" / "alerts.yml"
RULE_TESTS = Path(__file__).with_name("alerts_test.yml")


def write_config(folder: Path) -> Path:
    """Write what docs/monitoring.md tells gunicorn."""
    (text,) = [
        block.text
        for block in get_blocks(PAGES["monitoring.md"])
        if block.title == "gunicorn.conf.py"
    ]
    config = folder / "gunicorn.conf.py"
    config.write_text(text, encoding="utf-8")
    return config


@contextmanager
def serve_several(
    kind: str, api: FakeApi, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    files = folder / "figures"
    files.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(files))
    with serve(
        kind,
        folder / "log",
        f"--workers={PROCESSES} --config={write_config(folder)}",
        TOPSORT_API_URL=api.url,
        TOPSORT_METRICS_TOKEN=TOKEN,
        ROOT_URLCONF="tests.servers.project.metrics_urls",
        INSTALLED_APPS=["django_topsort", "django_topsort.contrib.prometheus"],
    ) as site:
        yield site


def scrape(site: Site) -> Figures:
    connection = site.connect()
    try:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        with connection.getresponse() as response:
            text = response.read().decode()
            assert response.status == 200, text
            return parse(text)
    finally:
        connection.close()


def get_pids(folder: Path, kind: str = "counter") -> set[int]:
    """Return the processes that have written figures of a kind."""
    return {int(path.stem.rpartition("_")[2]) for path in (folder / "figures").glob(f"{kind}_*.db")}


def visit_all(site: Site, folder: Path, processes: int = PROCESSES) -> int:
    """Visit until as many processes as that have been asked; return the number of visits."""
    visits = 0
    with ThreadPoolExecutor(2 * PROCESSES) as pool:

        def have_all_been_asked() -> bool:
            nonlocal visits
            paths = [f"/plain/?id={name_visit()}" for _ in range(20)]
            assert {answer.status for answer in pool.map(site.get, paths)} == {200}
            visits += len(paths)
            return len(get_pids(folder)) >= processes

        wait_until(have_all_been_asked, "each process was asked", timeout=60)
    return visits


@pytest.mark.parametrize(
    "kind",
    get_kinds(
        lambda server: (
            server.command.startswith("gunicorn")
            and not server.is_asgi
            and "--config" not in server.command  # ours takes its place
        ),
    ),
)
def test_sums_over_the_processes_are_right(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        FakeApi(api_key="TSE_servers") as api,
        serve_several(kind, api, tmp_path, monkeypatch) as site,
    ):
        visits = visit_all(site, tmp_path)
        api.wait_for(visits, "pageviews", timeout=30)
        api.wait_for(3 * visits, "impressions", timeout=30)

        # The others write within seconds what they have delivered.
        key = ("topsort_events_delivered_total", "impressions")
        wait_until(lambda: scrape(site)[key] == 3 * visits, "all is counted", timeout=30)
        for _ in range(2 * PROCESSES):  # whoever answers
            shown = scrape(site)
            assert shown["topsort_events_recorded_total", "pageviews"] == visits
            assert shown["topsort_events_recorded_total", "impressions"] == 3 * visits
            assert shown["topsort_events_waiting", "impressions"] == 0
            assert shown["topsort_queue_size",] == 50_000 * PROCESSES

        # What a process has counted stays when it is killed; what it is goes. Another follows it.
        killed = min(get_pids(tmp_path))
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in get_pids(tmp_path, "gauge_livesum"), "it is forgotten")
        visits += visit_all(site, tmp_path, PROCESSES + 1)
        wait_until(lambda: scrape(site)[key] == 3 * visits, "all is counted", timeout=30)
        assert scrape(site)["topsort_queue_size",] == 50_000 * PROCESSES


def test_alert_rules_are_tested_each() -> None:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    tested = {
        test["alertname"]
        for case in yaml.safe_load(RULE_TESTS.read_text(encoding="utf-8"))["tests"]
        for test in case["alert_rule_test"]
        if test["exp_alerts"]
    }

    assert tested == {rule["alert"] for rule in group["rules"]}


@pytest.mark.skipif(
    shutil.which("promtool") is None,
    reason="promtool is not installed: Debian has it in the package prometheus",
)
@pytest.mark.parametrize("command", [("check", "rules", RULES), ("test", "rules", RULE_TESTS)])
def test_alert_rules_fire_when_they_should(command: tuple[str, str, Path]) -> None:
    done = subprocess.run(
        ["promtool", *map(str, command)], capture_output=True, check=False, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
