"""Topsort's @topsort/sdk in Node, with the shop's endpoint in the place of Topsort's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from django_topsort.backends import locmem
from tests.browsers.chromium import USER_AGENT
from tests.browsers.npm import install

pytestmark = pytest.mark.browsers

POST = """
import { TopsortClient } from "@topsort/sdk";
const [host, agent, body] = process.argv.slice(2);
const post = globalThis.fetch;
// A browser says what it is; Node says that it is Node.
globalThis.fetch = (url, init) =>
  post(url, { ...init, headers: { ...init.headers, "user-agent": agent } });
const client = new TopsortClient({ apiKey: "unused", host });
try {
  console.log(JSON.stringify({ result: await client.reportEvent(JSON.parse(body)) }));
} catch (error) {
  console.log(JSON.stringify({ error: { ...error, message: String(error.message) } }));
}
"""
GOOD = {"id": "7f5b3bf4-57a1-4a83-9b2c-50c4a3c8d1ee", "entity": {"type": "product", "id": "p-1"}}


@pytest.fixture(scope="module", params=["0.3.2", "0.3.8"])
def sdk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdk")
    install(folder, f"@topsort/sdk@{request.param}")
    (folder / "post.mjs").write_text(POST, encoding="utf-8")
    return folder


def report(sdk: Path, base: str, event: dict[str, Any]) -> dict[str, Any]:
    """Return what the SDK makes of the answer to an impression."""
    body = {"impressions": [{"occurredAt": "2026-01-01T00:00:00Z", "opaqueUserId": "u", **event}]}
    done = subprocess.run(
        ["node", "post.mjs", f"{base}/topsort", USER_AGENT, json.dumps(body)],
        cwd=sdk,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_success_is_success(sdk: Path, base: str) -> None:
    told = report(sdk, base, {**GOOD, "placement": {"path": "/list/"}})

    assert told["result"]["ok"] is True
    (event,) = locmem.outbox
    assert event.id == GOOD["id"]


def test_refusal_says_what_is_wrong(sdk: Path, base: str) -> None:
    told = report(sdk, base, {"id": GOOD["id"]})

    assert locmem.outbox == []
    text = json.dumps(told)
    assert "400" in text
    assert told.get("result", {}).get("retry", False) is False
    assert "resolved" in text.lower() or "entity" in text.lower()
