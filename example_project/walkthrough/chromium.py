"""A real Chromium without a window, which Selenium drives: the page's own script reports."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from typing import Any

from walkthrough.browser import Diary, Element, Page
from walkthrough.exceptions import DemoError

try:
    from selenium import webdriver
    from selenium.common.exceptions import WebDriverException
    from selenium.webdriver.common.by import By
except ImportError as error:
    message = "--browser needs Selenium: python -m pip install selenium"
    raise DemoError(message) from error

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
PAGE_TIMEOUT = 20.0  # seconds, for a page to be shown and all of it to be seen
# Before a page's own scripts: each event is announced on its element as it is made.
LISTEN = """
window.demo = {told: [], seen: new Set()};
document.addEventListener("topsort", ({target, detail: {kind, event}}) => {
  demo.told.push([event.id, kind]);
  if (kind === "impressions") demo.seen.add(target);
});
"""
MARKED = "[data-ts-product], [data-ts-resolved-bid]"
# Scrolls to what has not been seen yet; what counts as seen has been there for a second.
LOOK = f"""
const unseen = [...document.querySelectorAll("{MARKED}")].filter((one) => !demo.seen.has(one));
const isWhole = (box) => box.top >= 0 && box.bottom <= innerHeight;
if (unseen.length && !isWhole(unseen[0].getBoundingClientRect()))
  unseen[0].scrollIntoView({{block: "start"}});
const isShown = !document.querySelector("script[data-ts-page]")
  || demo.told.some(([id, kind]) => kind === "pageviews");
return unseen.length || !isShown ? null : demo.told;
"""


class Chromium:
    """A browser as those of most shoppers, with a profile of its own."""

    def __init__(self, user_agent: str) -> None:
        driver = shutil.which(DRIVER)
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if driver is None or browser is None:
            raise DemoError("--browser needs chromium and chromedriver, which are not in the PATH")
        # The driver is on this machine, whatever the proxy is.
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
        options = webdriver.ChromeOptions()
        options.binary_location = browser
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--no-proxy-server",
            "--window-size=1280,1600",
            # As a shopper's, not a program's: of programs the shop reports nothing.
            "--disable-blink-features=AutomationControlled",
            f"--user-agent={user_agent}",
        ):
            options.add_argument(argument)
        try:
            self._driver = webdriver.Chrome(options, webdriver.ChromeService(driver))
        except WebDriverException as error:
            raise DemoError(f"Chromium does not start: {error}") from error
        self._driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
        self.diary = Diary()

    @property
    def cookies(self) -> dict[str, str]:
        return {cookie["name"]: cookie["value"] for cookie in self._driver.get_cookies()}

    def open(self, url: str) -> Page:
        self._driver.get(url)
        return self._look()

    def follow(self, page: Page, link: Element) -> Page:
        links = self._driver.find_elements(By.CSS_SELECTOR, "a[href]")
        for each in links:
            if each.get_dom_attribute("href") == link.attributes["href"]:
                return self._press(each)
        raise DemoError(f"{page.url} has no link to {link.attributes['href']} in Chromium")

    def submit(self, page: Page, button: str, values: Mapping[str, str] | None = None) -> Page:
        form, pressed = page.get_form(button)
        place = page.forms.index(form)
        element = self._driver.find_elements(By.TAG_NAME, "form")[place]
        for name, value in (values or {}).items():
            field = element.find_element(By.NAME, name)
            field.clear()
            field.send_keys(value)
        buttons = element.find_elements(By.TAG_NAME, "button")
        return self._press(buttons[form.buttons.index(pressed)])

    def close(self) -> None:
        self._driver.quit()

    def _press(self, element: Any) -> Page:
        """Click, and wait until the page is another one."""
        page = self._driver.find_element(By.TAG_NAME, "html")
        element.click()
        self._wait(lambda: self._is_gone(page), "is still there after a click")
        return self._look()

    def _is_gone(self, page: Any) -> bool:
        try:
            page.is_enabled()
        except WebDriverException:
            return True
        return False

    def _look(self) -> Page:
        """Look at all of the page, as nobody does, and note what its script has told of it."""
        told = self._wait(self._scroll, "was not reported as seen")
        page = Page(self._driver.current_url, self._driver.page_source)
        self.diary.note(page, dict(told))
        for line in self._driver.get_log("browser"):
            if line["level"] == "SEVERE":
                raise DemoError(f"{page.url}: {line['message']}")
        return page

    def _scroll(self) -> list[tuple[str, str]] | None:
        try:
            return self._driver.execute_script(LOOK) or None
        except WebDriverException:
            return None  # in between two pages

    def _wait(self, get: Any, problem: str) -> Any:
        deadline = time.monotonic() + PAGE_TIMEOUT
        while not (found := get()):
            if time.monotonic() > deadline:
                raise DemoError(f"{self._driver.current_url} {problem}")
            time.sleep(0.05)
        return found
