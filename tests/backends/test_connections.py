"""One connection a thread, for as long as the settings stay the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from django_topsort.backends.connections import get_client, post_body
from django_topsort.exceptions import AuthenticationFailed
from django_topsort.testing import FakeApi
from tests.scripts import run_script
from tests.test_client import PAGEVIEW, find_key

KEY = "TSE_canary-5c1f0"


@pytest.fixture
def api(settings: Any) -> Iterator[FakeApi]:
    with FakeApi(api_key=KEY) as api:
        settings.TOPSORT_API_URL = api.url
        settings.TOPSORT_API_KEY = KEY
        settings.TOPSORT_TIMEOUT = [2, 5]  # as a settings file in JSON has it
        yield api


def test_thread_keeps_its_connection(api: FakeApi) -> None:
    post_body(PAGEVIEW % 1)
    post_body(PAGEVIEW % 2)
    thread = threading.Thread(target=post_body, args=[PAGEVIEW % 3])
    thread.start()
    thread.join()

    assert [request.connection for request in api.requests] == [1, 1, 2]


def test_setting_that_changes_makes_another_client(api: FakeApi, settings: Any) -> None:
    first = get_client()
    assert get_client() is first

    settings.TOPSORT_TIMEOUT = 3
    assert get_client() is not first
    settings.TOPSORT_API_KEY = "TSE_other"
    with pytest.raises(AuthenticationFailed):
        post_body(PAGEVIEW % 1)


@pytest.mark.parametrize("key", ["", f"{KEY} with blanks", f"{KEY}\n"])
def test_setting_that_cannot_be_used_is_a_matter_of_configuration(
    api: FakeApi, settings: Any, key: str
) -> None:
    post_body(PAGEVIEW % 1)
    settings.TOPSORT_API_KEY = key
    with pytest.raises(AuthenticationFailed, match="TOPSORT_API_KEY") as raised:
        post_body(PAGEVIEW % 2)
    settings.TOPSORT_API_KEY = KEY
    post_body(PAGEVIEW % 3)

    assert raised.value.configuration
    assert find_key(raised.value) == []
    assert len(api.pageviews) == 2


def test_limit_is_handed_on(api: FakeApi) -> None:
    from django_topsort.exceptions import NoAnswer

    with api.hang(), pytest.raises(NoAnswer):
        post_body(PAGEVIEW % 1, 0.1)


def test_child_process_does_not_share_the_connection() -> None:
    result = run_script(
        """
        import os, django
        from django.conf import settings
        from django_topsort.testing import FakeApi
        api = FakeApi().start()
        settings.configure(TOPSORT_API_KEY="TSE_x", TOPSORT_API_URL=api.url, USE_TZ=True)
        django.setup()
        from django_topsort.backends.connections import post_body
        from tests.test_client import PAGEVIEW
        post_body(PAGEVIEW % 1)
        pid = os.fork()
        if not pid:
            post_body(PAGEVIEW % 2)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        post_body(PAGEVIEW % 3)
        print([request.connection for request in api.requests])
        api.stop()
        """,
        measured=False,
    )

    assert result.stdout == "[1, 2, 1]\n", result.stderr
