"""Imports that are put off, and forks in their midst."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from django_topsort.loading import Loading, loading, require
from django_topsort.testing import FakeApi
from tests.test_imports import run_code


@contextmanager
def held_by_another_thread(loading: Loading) -> Iterator[threading.Event]:
    """Let another thread hold the lock until the event is set, or the block ends."""
    is_held, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        with loading.lock:
            is_held.set()
            is_over.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(30)
    try:
        yield is_over
    finally:
        is_over.set()
        thread.join()


def fork_and_load(loading: Loading) -> int:
    """Return how a child ends that takes the lock: 0 where it gets it at once."""
    with warnings.catch_warnings():
        # The child calls nothing that another thread could have locked.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:  # pragma: no cover - the child leaves without a word to anyone
        os._exit(0 if loading.lock.acquire(timeout=5) else 1)
    return os.waitpid(child, 0)[1]


def test_fork_waits_for_an_import_and_the_child_has_a_lock_of_its_own() -> None:
    with held_by_another_thread(loading) as is_over:
        threading.Timer(0.2, is_over.set).start()

        assert fork_and_load(loading) == 0

        assert is_over.is_set(), "the fork has waited"


def test_fork_does_not_wait_forever() -> None:
    hasty = Loading()
    hasty.patience = 0.01

    with held_by_another_thread(hasty) as is_over:
        assert fork_and_load(hasty) == 0

        assert not is_over.is_set()


def test_child_of_which_python_was_not_told_has_a_lock_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # uWSGI forks without hooks.
    one = Loading()
    with held_by_another_thread(one):
        monkeypatch.setattr(os, "getpid", lambda: -1)

        assert one.lock.acquire(timeout=5)


SET_UP = """
import importlib.abc, os, signal, sys, threading, time
from django.conf import settings
settings.configure(
    SECRET_KEY="tests-only", TOPSORT_API_KEY="TSE_tests", TOPSORT_API_URL="{url}",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django_topsort"],
    TOPSORT_BACKENDS={{"default": "django_topsort.backends.{backend}.EventBackend"}},
)
import django
django.setup()
from django.test import RequestFactory
from django_topsort.delivery import flush
from django_topsort.events import Impression
from django_topsort.signals import order_paid
from django_topsort.tracking import record, track_impression

class Watch(importlib.abc.MetaPathFinder):
    def __init__(self, name, act):
        self.name, self.act = name, act
    def find_spec(self, name, path, target=None):
        if name == self.name:
            sys.meta_path.remove(self)
            self.act()

def watch(name, act):
    sys.meta_path.insert(0, Watch(name, act))

def pay(number):
    lines = [{{"product": "shoe", "quantity": 1, "line_total": "5"}}]
    order_paid.send(sender=None, order={{"number": number, "lines": lines}}, opaque_user_id="u")

def show(bid):
    record(Impression(opaque_user_id="shopper", resolved_bid_id=bid))

def visit(bid):
    request = RequestFactory().get("/", headers={{"user-agent": "Mozilla/5.0 Firefox/140"}})
    assert track_impression(request, resolved_bid_id=bid) is not None
"""
# Another thread imports what it has met for the first time, and this one forks meanwhile.
FORK = """
is_importing = threading.Event()
def dawdle():
    is_importing.set()
    time.sleep(0.3)
watch("{module}", dawdle)
thread = threading.Thread(target={act}, args=("parents",))
thread.start()
assert is_importing.wait(30)
child = os.fork()
if not child:
    signal.alarm(20)  # a deadlock ends here, and badly
    {act}("childs")
    os._exit(0 if flush(15) else 1)
assert os.waitpid(child, 0)[1] == 0
thread.join()
assert flush(15)
"""


@pytest.mark.parametrize(
    ("backend", "module", "act"),
    [
        ("thread", "django_topsort.backends.thread", "show"),
        ("http", "django_topsort.backends.connections", "show"),
        ("thread", "crawleruseragents", "visit"),
        ("thread", "django_topsort.commits", "pay"),
    ],
)
def test_child_of_a_fork_amid_an_import_sends_its_events(
    backend: str, module: str, act: str
) -> None:
    with FakeApi(api_key="TSE_tests") as api:
        code = SET_UP.format(url=api.url, backend=backend) + FORK.format(module=module, act=act)
        assert "Traceback" not in run_code(code).stderr

        assert len(api.events) == 2
        assert api.repeated == []


@pytest.mark.parametrize("module", ["django_topsort.commits", "django_topsort.purchases.finding"])
def test_order_of_a_signals_handler_amid_the_first_orders_import_is_reported(module: str) -> None:
    handle = f"""
signal.signal(signal.SIGUSR1, lambda *args: pay("2"))
watch("{module}", lambda: os.kill(os.getpid(), signal.SIGUSR1))
pay("1")
assert flush(15)
"""
    with FakeApi(api_key="TSE_tests") as api:
        code = SET_UP.format(url=api.url, backend="thread") + handle
        assert "Traceback" not in run_code(code).stderr

        assert sorted(event["id"] for event in api.purchases) == ["1", "2"]


def test_what_is_absent_is_named_with_what_to_install() -> None:
    with pytest.raises(ModuleNotFoundError) as info, require("no_such", needed_by="The panel"):
        import no_such.part  # type: ignore[import-not-found]  # noqa: F401

    said = "The panel needs no_such, which is not installed: pip install no_such"
    assert str(info.value) == said
    assert info.value.name == "no_such"


def test_what_is_absent_has_its_name_on_the_package_index_and_our_extra() -> None:
    with (
        pytest.raises(ModuleNotFoundError) as info,
        require("no_such", needed_by="The panel", package="django-no-such", extra="panel"),
    ):
        import no_such  # noqa: F401

    assert str(info.value) == (
        "The panel needs django-no-such, which is not installed:"
        ' pip install "django-topsort[panel]"'
    )


def test_library_that_is_there_and_broken_says_so_itself() -> None:
    with (
        pytest.raises(ModuleNotFoundError, match="No module named 'its_own_need'"),
        require("no_such", needed_by="The panel"),
    ):
        import its_own_need  # type: ignore[import-not-found]  # noqa: F401


def test_what_is_there_is_imported() -> None:
    with require("json", needed_by="The panel"):
        import json

    assert json.loads("7") == 7
