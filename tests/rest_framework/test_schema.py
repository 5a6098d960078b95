"""What drf-spectacular says of the endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.test import RequestFactory

from django_topsort.backends.locmem import outbox
from django_topsort.events import EVENT_KINDS
from django_topsort.rest_framework.schema import EventsViewExtension, build_body_schema
from django_topsort.rest_framework.views import EventsView
from django_topsort.wire import build_request, encode_request
from tests.browser.sending import build_impression, encode
from tests.strategies import build_full_events

COMMAND = [sys.executable, "-m", "django", "spectacular"]
ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    """What ``manage.py spectacular`` prints, without a warning."""
    done = subprocess.run(
        [*COMMAND, "--validate", "--fail-on-warn", "--format", "openapi-json"],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.rest_framework.site"},
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_endpoint_is_described(description: dict[str, Any]) -> None:
    (path,) = description["paths"]
    operation = description["paths"][path]["post"]

    assert path == "/topsort/v2/events"
    assert list(description["paths"][path]) == ["post"]
    assert operation["requestBody"]["content"].keys() == {"application/json", "text/plain"}
    statuses = ["204", "400", "403", "405", "411", "413", "415", "429", "500"]
    assert list(operation["responses"]) == statuses
    for status in statuses[1:]:
        assert list(operation["responses"][status]["content"]) == ["application/json"]
    assert "content" not in operation["responses"]["204"]


def test_body_schema_is_that_of_the_events() -> None:
    schema = build_body_schema()
    full = json.loads(encode_request(build_request(build_full_events())))
    own = json.loads(encode(impressions=[build_impression(id=None, occurredAt=None)]))

    for body in (full, own):
        jsonschema.validate(body, schema)
    for kind in EVENT_KINDS:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({kind: [3]}, schema)
    for wrong in ({}, {"impressions": [{"entity": {"type": "brand", "id": "x"}}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_view_that_is_described_does_what_it_did() -> None:
    extension: Any = EventsViewExtension.get_match(EventsView.as_view())
    described = extension.view_replacement()

    request = RequestFactory().post("/", encode(impressions=[build_impression()]), "text/plain")

    assert described.as_view()(request).status_code == 204
    assert len(outbox) == 1
    assert issubclass(described, EventsView)
    assert described.http_method_names == EventsView.http_method_names
