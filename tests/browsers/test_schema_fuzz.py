"""Schemathesis against the endpoint, by the description that drf-spectacular gives of it.

In an interpreter of its own, in which a project has drf-spectacular.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browsers

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import sys
import django
django.setup()
from django.core.cache import cache
from django.core.wsgi import get_wsgi_application
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance, response_schema_conformance, status_code_conformance,
)
from django_topsort.backends.locmem import outbox

schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
schema.app = get_wsgi_application()
statuses = {}
checks = [
    not_a_server_error, content_type_conformance, response_schema_conformance,
    status_code_conformance,
]

def run(mode):
    operation = schema["/topsort/v2/events"]["post"]
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=int(sys.argv[1]), deadline=None, derandomize=True, database=None,
              suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def ask(case):
        cache.clear()
        outbox.clear()
        response = case.call(headers={"user-agent": "Mozilla/5.0 Firefox/140.0"})
        case.validate_response(response, checks=checks)
        statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
    ask()

for mode in schemathesis.GenerationMode:
    run(mode)
print(sorted(statuses.items()))
assert {204, 400} <= statuses.keys(), statuses
"""


def test_answers_are_as_they_are_described() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "60"],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.rest_framework.site",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
