"""The backend that appends events to a file."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_topsort.backends import filebased
from django_topsort.backends.base import BaseEventBackend
from django_topsort.events import Impression, Placement
from django_topsort.exceptions import TopsortConfigurationError
from django_topsort.testing import BackendContract
from tests.scripts import run_script
from tests.sending.engine import USER, build_events


@pytest.fixture
def path(tmp_path: Path, settings: Any) -> Path:
    settings.TOPSORT_FILE_PATH = str(tmp_path / "events.jsonl")
    return tmp_path / "events.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.usefixtures("path")
class TestContract(BackendContract):
    @pytest.fixture(autouse=True)
    def _path(self, path: Path) -> None:
        self.path = path

    def make_backend(self) -> BaseEventBackend:
        self.path.write_bytes(b"")
        return filebased.EventBackend()

    def get_received(self, backend: BaseEventBackend) -> Collection[tuple[str, str]]:
        return [(line["kind"], line["event"]["id"]) for line in read(self.path)]


def test_each_event_is_a_line_as_it_would_be_sent(path: Path) -> None:
    placement = Placement(path="/", category_ids=["shoes"])
    event = Impression(id="i", opaque_user_id=USER, resolved_bid_id="b", placement=placement)
    filebased.EventBackend().send_events([event])
    with override_settings(TOPSORT_CATEGORY_FIELD="categoryId"):
        filebased.EventBackend().send_events([event])

    first, second = read(path)
    assert list(first) == ["kind", "event"]
    assert first["event"]["placement"] == {"path": "/", "categoryIds": ["shoes"]}
    assert second["event"]["placement"] == {"path": "/", "categoryId": "shoes"}


def test_file_without_a_path_is_refused_and_found_by_the_check() -> None:
    backend = filebased.EventBackend()
    with pytest.raises(TopsortConfigurationError, match="TOPSORT_FILE_PATH is empty"):
        backend.send_events(build_events(1))

    (message,) = backend.check()
    assert message.id == "django_topsort.E012"


def test_file_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    with override_settings(TOPSORT_FILE_PATH=tmp_path), pytest.raises(IsADirectoryError):
        filebased.EventBackend().send_events(build_events(1))


def test_file_that_takes_a_part_only_raises(tmp_path: Path) -> None:
    # A limit of the file's size makes the system take a part, and then refuse.
    result = run_script(
        """
        import resource, signal, sys, django
        from django.conf import settings
        settings.configure(TOPSORT_FILE_PATH=sys.argv[1], USE_TZ=True)
        django.setup()
        from django_topsort.accounts import accounts
        from django_topsort.backends.filebased import EventBackend
        from tests.sending.engine import build_events
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            EventBackend().send_events(build_events(50))
        except OSError as error:
            print(type(error).__name__, accounts.get_counts()["impressions"]["delivered"])
        """,
        str(tmp_path / "events.jsonl"),
        measured=False,
    )

    assert result.stdout == "OSError 0\n", result.stderr
    assert (tmp_path / "events.jsonl").stat().st_size == 1000


def test_lines_of_several_processes_do_not_mix(path: Path) -> None:
    code = """
        import sys, django
        from django.conf import settings
        settings.configure(TOPSORT_FILE_PATH=sys.argv[1], USE_TZ=True)
        django.setup()
        import os
        from django_topsort.backends.filebased import EventBackend
        from tests.sending.engine import build_events
        children = []
        for name in range(4):
            pid = os.fork()
            if not pid:
                for number in range(20):
                    EventBackend().send_events(build_events(24, prefix=f"{name}-{number}"))
                os._exit(0)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
    """
    result = run_script(code, str(path), measured=False)

    assert result.returncode == 0, result.stderr
    assert len(read(path)) == len({line["event"]["id"] for line in read(path)}) == 4 * 20 * 24


def test_backend_is_for_development() -> None:
    assert filebased.EventBackend.blocking
    assert not filebased.EventBackend.production
    assert os.name == "posix"
    assert resource.RLIMIT_FSIZE
