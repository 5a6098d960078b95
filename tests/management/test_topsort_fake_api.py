"""``manage.py topsort_fake_api`` as somebody runs it who develops a shop."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from django.core.management import CommandError, call_command

from django_topsort.testing import FakeApi
from tests.testing.wire_format import build_click

ROOT = Path(__file__).resolve().parent.parent.parent
COMMAND = [sys.executable, "-m", "django", "topsort_fake_api", "--port=0"]


class Running:
    """The command in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def read(self, pattern: str) -> str:
        """Return what matches in a line, as soon as it is written."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, (self.lines, self.process.communicate())
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found[found.lastindex or 0]


@contextmanager
def running(*args: str) -> Iterator[Running]:
    """Run the command for a block of code, which must end it."""
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*COMMAND, *args],
        env={**os.environ, **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Running(process)
        finally:
            process.kill()


def post_click(url: str, key: str = "TSE_development", **facts: object) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    body = {"clicks": [build_click(**facts)]}
    return requests.post(f"{url}/v2/events", json=body, headers=headers, timeout=10).status_code


def test_command_shows_what_comes_and_ends_well_on_ctrl_c() -> None:
    with running() as command:
        url = command.read(r'TOPSORT_API_URL = "(\S+)"')
        key = command.read(r'TOPSORT_API_KEY = "(\S+)"')
        command.read(r"Any key that starts with TSE_ will do\. Ctrl-C ends it\.")
        page = requests.get(f"{url}/", timeout=10)
        statuses = [post_click(url, key), post_click(url, key, id="")]
        command.read(r"^\d\d:\d\d:\d\d POST /v2/events 204 1 click$")
        command.read(r"POST /v2/events 400 clicks\[0\]\.id: '' is not allowed")
        command.process.send_signal(signal.SIGINT)
        rest, errors = command.process.communicate(timeout=20)

    assert command.lines[0] == f"The fake Topsort API listens on {url}\n"
    assert key == "TSE_development"
    assert (page.status_code, statuses) == (200, [204, 400])
    assert (command.process.returncode, rest, errors) == (0, "\nStopped.\n", "")


def test_command_passes_its_options_on() -> None:
    older = {"path": "/", "categoryId": "shoes"}
    with running(
        "--api-key=TSE_mine", "--category-field=categoryId", "--host=localhost"
    ) as command:
        url = command.read(r'TOPSORT_API_URL = "(\S+)"')
        key = command.read(r'TOPSORT_API_KEY = "(\S+)"')
        command.read(r"^Ctrl-C ends it\.")
        statuses = [post_click(url), post_click(url, key, placement=older)]
        command.process.send_signal(signal.SIGINT)
        command.process.communicate(timeout=20)

    assert url.startswith("http://localhost:")
    assert (key, statuses, command.process.returncode) == ("TSE_mine", [401, 204], 0)


def test_command_says_that_the_port_is_taken() -> None:
    with FakeApi() as api:
        port = api.url.rpartition(":")[2]
        with pytest.raises(CommandError) as info:
            call_command("topsort_fake_api", "--port", port)

    assert str(info.value) == f"port {port} of 127.0.0.1 is taken; choose another with --port"


def test_command_says_what_else_is_wrong_with_an_address() -> None:
    # An address for documentation, which no machine has.
    with pytest.raises(CommandError, match=r"^port 0 of 192\.0\.2\.1: .*assign"):
        call_command("topsort_fake_api", "--port=0", "--host=192.0.2.1")


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_command_says_that_there_is_no_such_port(port: str) -> None:
    with pytest.raises(CommandError, match=f"port {port} of "):
        call_command("topsort_fake_api", f"--port={port}")


def test_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)

    with pytest.raises(CommandError, match=r'pip install "django-topsort\[testing\]"'):
        call_command("topsort_fake_api", "--port=0")
