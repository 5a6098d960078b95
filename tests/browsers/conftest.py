from __future__ import annotations

import itertools
import shutil
import threading
from collections.abc import Iterator
from wsgiref.simple_server import WSGIRequestHandler

import pytest
from django.core.servers.basehttp import ThreadedWSGIServer
from django.core.wsgi import get_wsgi_application
from django.test import override_settings

pytest.importorskip("selenium", reason="selenium is not installed: make test-browsers does that")

from selenium import webdriver

from tests.browsers.chromium import Browser, start_chromium
from tests.browsers.site.recording import Recorder, recorders

_numbers = itertools.count(1)


class Silent(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing of each request."""


@pytest.fixture(scope="session")
def base() -> Iterator[str]:
    """The address of the site, served in this process: its outbox is that of the tests."""
    with override_settings(ROOT_URLCONF="tests.browsers.site.urls"):
        server = ThreadedWSGIServer(("127.0.0.1", 0), Silent)
        server.set_app(get_wsgi_application())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()
        thread.join()


def require_chromium() -> None:
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: apt install chromium-driver)")


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    require_chromium()
    driver = start_chromium()
    yield driver
    driver.quit()


@pytest.fixture
def browser(driver: webdriver.Chrome, base: str) -> Iterator[Browser]:
    """A browser that has never been here."""
    number = f"{next(_numbers)}"
    recorder = recorders[number] = Recorder()
    browser = Browser(driver, base, number, recorder)
    yield browser
    recorder.let_go.set()
    recorder.fault = None
    browser.forget()
