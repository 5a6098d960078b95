"""The servers of docs/howto/deployments.md with its files: all arrives, and they end in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_topsort.testing import FakeApi
from tests.docs.guides import get_text
from tests.servers.serving import PATIENCE, SERVERS, is_installed, name_visit, serve

pytestmark = pytest.mark.servers

GRACE = "--graceful-timeout=20"
PATCHED = "-k gevent --preload --config=python:tests.servers.project.patched"
HOOK = "--master --need-app --hook-master-start='unix_signal:15 gracefully_kill_them_all'"
# The server, the file that the guide gives it, and what stands in the place of which words.
FILES = [
    ("gunicorn-sync", "gunicorn.conf.py", GRACE, "--config={}"),
    ("gunicorn-gthread-preload", "gunicorn.conf.py", GRACE, "--config={}"),
    (
        "gunicorn-gevent-preload",
        "gunicorn.conf.py, with gevent and preload_app",
        PATCHED,
        "--config={}",
    ),
    ("uwsgi", "uwsgi.ini", HOOK, "--need-app --ini={}"),
]


@pytest.mark.parametrize(("kind", "title", "old", "new"), FILES)
def test_server_with_the_file_of_the_guide_loses_nothing(
    api: FakeApi, tmp_path: Path, kind: str, title: str, old: str, new: str
) -> None:
    if not is_installed(SERVERS[kind]):
        pytest.skip(f"{SERVERS[kind].needs} is not installed")
    file = tmp_path / title.partition(",")[0]
    file.write_text(get_text("deployments", title), encoding="utf-8")
    instead = {old: new.format(file)}
    assert old in SERVERS[kind].command

    # So long an interval that only the end of the server sends it.
    settings: dict[str, Any] = {"TOPSORT_API_URL": api.url, "TOPSORT_FLUSH_INTERVAL": 60}
    with serve(kind, tmp_path / "log", instead=instead, **settings) as site:
        site.get(f"/plain/?id={name_visit()}")
        recorded = len(site.get_kept_ids())
        code, seconds = site.stop()

    assert recorded > 0
    assert code == SERVERS[kind].ends_with
    assert seconds < 15
    assert len(api.wait_for(recorded, timeout=PATIENCE)) == recorded
