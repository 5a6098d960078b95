"""A real Chromium that looks like a shopper's, and what the tests do with it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.browsers.site.recording import Recorder
from tests.browsers.site.urls import NONCE, pages

PATIENCE = 10.0
USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/150.0.0.0 Safari/537.36"
)
# What the page has heard, and where it lives on while the page does not.
LISTEN = """
window.said = [];
document.addEventListener("topsort", (event) => said.push({
  ...event.detail, on: event.target.id || event.target.nodeName,
}));
"""
STYLE = """
body { margin: 0 } .card { width: 200px; height: 200px; overflow: hidden }
.far { height: 3000px } .none { display: none } .hidden { visibility: hidden }
.clear { opacity: 0 } .skipped { content-visibility: hidden } .flat { height: 0; overflow: hidden }
.small { transform: scale(0) } .aside { position: absolute; left: -9999px }
"""


def start_chromium(*arguments: str, **preferences: object) -> webdriver.Chrome:
    """Return a new browser with a profile of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-blink-features=AutomationControlled",
        "--window-size=1000,900",
        f"--user-agent={USER_AGENT}",
        *arguments,
    ):
        options.add_argument(argument)
    options.add_experimental_option("prefs", preferences)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    driver.set_page_load_timeout(15)
    driver.set_script_timeout(15)
    return driver


def wait_until(holds: Callable[[], object], what: str, timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not so after {timeout} s"
        time.sleep(0.02)


class Browser:
    """A browser on the tests' site, with the recorder that its pages post to."""

    def __init__(
        self, driver: webdriver.Chrome, base: str, number: str, recorder: Recorder
    ) -> None:
        self.driver = driver
        self.base = base
        self.recorder = recorder
        self.endpoint = f"/record/{number}/v2/events"

    def write(
        self,
        address: str,
        body: str,
        *,
        head: str = "",
        endpoint: str = "",
        script: str = "topsort.js",
        tags: int = 1,
        **attributes: str,
    ) -> None:
        """Write a page with the script; ``attributes`` are those of its tag."""
        said = {"data-ts-clicks": "/topsort/click/", "data-ts-seconds": "0.3"}
        said["data-ts-url"] = endpoint or self.endpoint
        said |= {f"data-ts-{name}": value for name, value in attributes.items()}
        text = " ".join(f"{name}='{value}'" for name, value in said.items())
        pages[address] = (
            f"<!doctype html><meta charset=utf-8><title>{address}</title>"
            f"<style nonce={NONCE}>{STYLE}</style><script nonce={NONCE}>{LISTEN}</script>{head}"
            + f"<script src=/static/{script} defer {text}></script>" * tags
            + f"<body>{body}"
        )

    def go(self, address: str) -> None:
        self.driver.get(f"{self.base}/{address}")

    def open(self, body: str, address: str = "page", **said: Any) -> None:
        """Write a page and go to it."""
        self.write(address, body, **said)
        self.go(address)

    def find(self, name: str) -> WebElement:
        return self.driver.find_element(By.ID, name)

    def run(self, code: str, *arguments: object) -> Any:
        return self.driver.execute_script(code, *arguments)

    def tell(self, command: str, **parameters: object) -> Any:
        """Give a command of Chromium's own protocol."""
        return self.driver.execute_cdp_cmd(command, parameters)

    def get_said(self, kind: str) -> list[str]:
        """Return the elements of which this page has reported something, in order."""
        said = self.run("return said")
        return [event["on"] for event in said if event["kind"] == kind]

    def wait_for_said(self, kind: str, *names: str) -> None:
        """Wait until the page has reported exactly these elements."""
        wait_until(lambda: sorted(self.get_said(kind)) == sorted(names), f"{kind} of {names}")

    def wait_for(self, kind: str, count: int) -> None:
        """Wait until the endpoint has taken so many events."""
        wait_until(lambda: len(self.recorder.get(kind)) >= count, f"{count} {kind}")

    def get_kept(self) -> list[Any]:
        """Return the events that wait in the storage."""
        return [
            json.loads(text)
            for text in self.run(
                "return Object.keys(localStorage).filter(key => key.startsWith('topsort:event:'))"
                ".map(key => localStorage[key])"
            )
        ]

    def go_offline(self, offline: bool = True) -> None:
        self.tell("Network.enable")
        self.tell(
            "Network.emulateNetworkConditions",
            offline=offline,
            latency=0,
            downloadThroughput=-1,
            uploadThroughput=-1,
        )

    def get_log(self) -> list[str]:
        """Return what stands in the browser's log since it was last read."""
        return [str(line["message"]) for line in self.driver.get_log("browser")]

    def forget(self) -> None:
        """Leave nothing to the next test: one empty tab, no cookie, nothing stored."""
        first, *others = self.driver.window_handles
        for handle in others:
            self.driver.switch_to.window(handle)
            self.driver.close()
        self.driver.switch_to.window(first)
        self.go_offline(False)
        self.driver.get("about:blank")
        self.tell("Storage.clearDataForOrigin", origin=self.base, storageTypes="all")
        self.tell("Network.clearBrowserCookies")
        self.driver.get_log("browser")
        pages.clear()
