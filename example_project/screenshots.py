"""The pictures of docs/images: the shop, what Topsort hears of it, and the outbox on a bad night.

It needs `chromium`, `chromedriver`, Selenium and Pillow, and no network. All that is in the
pictures has happened: shoppers have ordered while Topsort did not answer, and one order was
refused. Only the clock is turned, so that it looks like a night and not like a minute.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from django_topsort.testing import FakeApi
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By

from walkthrough.browser import PlainBrowser
from walkthrough.chromium import BROWSERS, DRIVER
from walkthrough.exceptions import DemoError
from walkthrough.servers import PROJECT, get_free_ports, run, start, wait_until_it_listens
from walkthrough.shoppers import DESKTOP, visit_as_customer, visit_as_guest

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDTH, HEIGHT = 1200, 800  # pixels; a picture may be longer
COLOURS = 128
MOST_BYTES = 150_000
PATIENCE = 60.0  # seconds
HOURS = 3  # by which the night is longer than it was
# What Topsort says of an order that it does not like, and when it does not answer at all.
REFUSAL = (
    b'{"errCode": "invalid_event_data", "docUrl":'
    b' "https://docs.topsort.com/reference/errors#invalid_event_data",'
    b' "message": "items[0].unitPrice is not a price of this product"}'
)
OUTAGE = b'{"errCode": "service_unavailable", "message": "try again later"}'
EVENTS = "admin/topsort_outbox/outboxevent/"


def main() -> int:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="topsort-pictures-") as directory, FakeApi() as api:
        database = Path(directory) / "shop.sqlite3"
        environment = build_environment(database, api.url)
        run(["migrate", "--verbosity", "0"], environment)
        run(["seed", "--verbosity", "0"], environment)
        with opened_camera() as camera:
            with serve_shop(environment, database.parent) as shop:
                shop_well(shop)
                relay(environment)
                wait(lambda: len(api.purchases) == 2, "two purchases at Topsort")
                camera.take("shop", shop, height=860)
                camera.take("fake-api", f"{api.url}/", height=860)
                begin_night(shop, api, environment)
            # Processes come and go at night, too: what they had in memory is in the outbox now.
            relay(environment)
            with serve_shop(environment, database.parent) as shop:
                turn_clock(database)
                camera.log_in(shop)
                camera.take("outbox-list", f"{shop}{EVENTS}?kind__exact=purchases", height=1200)
                (refused,) = read(database, "SELECT id FROM {} WHERE status = 'rejected'")
                camera.take("outbox-row", f"{shop}{EVENTS}{refused[0]}/change/", height=1400)
    return 0


def build_environment(database: Path, api_url: str) -> dict[str, str]:
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "walkthrough.night",
        "SHOP_DATABASE": str(database),
        "TOPSORT_API_URL": api_url,
        "TOPSORT_API_KEY": "TSE_development",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }


@contextmanager
def serve_shop(environment: dict[str, str], directory: Path) -> Iterator[str]:
    (port,) = get_free_ports(1)
    arguments = ["runserver", "--noreload", f"127.0.0.1:{port}"]
    with start("shop", arguments, environment, directory) as server:
        wait_until_it_listens(server, port)
        yield f"http://127.0.0.1:{port}/"
        # As Ctrl-C does it: what is in memory goes into the outbox.
        server.process.send_signal(signal.SIGINT)
        server.process.wait(PATIENCE)


def shop_well(shop: str, rounds: int = 1) -> None:
    for visit in (visit_as_guest, visit_as_customer) * rounds:
        visit(shop, PlainBrowser)


def relay(environment: dict[str, str]) -> None:
    """Send what is due; the command ends with 1 where some has to wait."""
    command = [sys.executable, "manage.py", "topsort_relay", "--once"]
    subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=False)


def begin_night(shop: str, api: FakeApi, environment: dict[str, str]) -> None:
    """Let Topsort refuse what a guest orders, and then not answer any more."""
    honey = (b'"purchases":[{', b"heather-honey")
    api.answer(400, REFUSAL, matches=lambda request: all(text in request.body for text in honey))
    # That Topsort takes the customer's order is the proof that it is the guest's.
    shop_well(shop)
    relay(environment)
    api.clear_faults()
    api.answer(503, OUTAGE)
    shop_well(shop, rounds=6)
    relay(environment)


def read(database: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        return connection.execute(query.format("topsort_outbox_outboxevent")).fetchall()


def turn_clock(database: Path) -> None:
    """Make the night longer: all that is in the outbox was written hours ago, evenly."""
    moved = "strftime('%Y-%m-%d %H:%M:%f', {0}, '-' || ({1}) || ' minutes')"
    last = "(SELECT max(id) FROM topsort_outbox_outboxevent)"
    back = f"5 + {HOURS * 60} * ({last} - id) / {last}"
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection, connection:
        for name in ("created_at", "occurred_at", "settled_at"):
            connection.execute(
                f"UPDATE topsort_outbox_outboxevent SET {name} = {moved.format(name, back)}"
                f" WHERE {name} IS NOT NULL"
            )


def wait(holds: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise DemoError(f"{what}: not so after {PATIENCE:g} seconds")
        time.sleep(0.5)


class Camera:
    """A browser that takes pictures."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self._driver = driver

    def log_in(self, shop: str) -> None:
        self._driver.get(f"{shop}admin/login/")
        # As somebody has it who has little room.
        self._driver.execute_script("localStorage['django.admin.navSidebarIsOpen'] = 'false'")
        self._driver.find_element(By.NAME, "username").send_keys("grace")
        self._driver.find_element(By.NAME, "password").send_keys("harbour-lane")
        self._driver.find_element(By.CSS_SELECTOR, "[type=submit]").click()

    def _set_height(self, height: int) -> None:
        size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def take(self, name: str, url: str, height: int) -> None:
        """Take a picture of a page, of its upper part where it is longer than ``height``."""
        self._set_height(HEIGHT)
        self._driver.get(url)
        time.sleep(0.5)  # for pictures in the page, which are no part of its loading
        size = self._driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
        self._set_height(min(height, int(size["height"])))
        path = IMAGES / f"{name}.png"
        with Image.open(BytesIO(self._driver.get_screenshot_as_png())) as picture:
            picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)
        self._set_height(HEIGHT)
        print(f"{path.name}: {path.stat().st_size} bytes")
        if path.stat().st_size > MOST_BYTES:
            raise DemoError(f"{path.name} is too large")


@contextmanager
def opened_camera() -> Iterator[Camera]:
    driver, browser = shutil.which(DRIVER), next(filter(None, map(shutil.which, BROWSERS)), None)
    if driver is None or browser is None:
        raise DemoError("chromium and chromedriver are not in the PATH")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--no-proxy-server",
        "--hide-scrollbars",
        "--force-device-scale-factor=1",
        f"--window-size={WIDTH},{HEIGHT}",
        f"--user-agent={DESKTOP}",
    ):
        options.add_argument(argument)
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    try:
        yield Camera(chrome)
    finally:
        chrome.quit()


if __name__ == "__main__":
    sys.exit(main())
