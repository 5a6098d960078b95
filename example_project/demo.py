"""The demo: a fake Topsort API, the example shop, two shoppers, and what Topsort heard of them.

It needs only the package with its `testing` extra, and no network. With `--browser` the shoppers
come in a real Chromium, which Selenium drives. On a terminal the shop stays open at the end, until
Ctrl-C; otherwise the exit code says whether all is well: 0 or 1.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from walkthrough.browser import Browser, PlainBrowser
from walkthrough.exceptions import DemoError
from walkthrough.servers import Site, serve_site
from walkthrough.shoppers import OpenBrowser, visit_as_customer, visit_as_guest
from walkthrough.verdict import build_table, build_verdict, wait_for_events

SHOPPERS = (visit_as_guest, visit_as_customer)


def main() -> int:
    parser = argparse.ArgumentParser(description="Shop, and see what Topsort hears of it.")
    parser.add_argument("--browser", action="store_true", help="shop with a real Chromium")
    arguments = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # Ended from outside, the demo still ends what it has started.
        signal.signal(ending, lambda *_: sys.exit(1))
    try:
        open_browser = get_chromium() if arguments.browser else PlainBrowser
        with tempfile.TemporaryDirectory(prefix="topsort-demo-") as directory:
            print("Starting the shop and a fake of Topsort's API ...", flush=True)
            with serve_site(Path(directory)) as site:
                walk(site, open_browser)
                if sys.stdin.isatty() and sys.stdout.isatty():
                    keep_serving(site)
    except DemoError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 1
    return 0


def get_chromium() -> OpenBrowser:
    from walkthrough.chromium import Chromium

    return Chromium


def walk(site: Site, open_browser: OpenBrowser) -> None:
    """Send the shoppers through the shop; show what Topsort heard of all that they did."""
    print("A guest searches, clicks and buys; then a customer does ...", flush=True)
    with ExitStack() as stack:

        def open_and_close_later(user_agent: str) -> Browser:
            browser = open_browser(user_agent)
            stack.callback(browser.close)
            return browser

        visits = [visit(site.shop_url, open_and_close_later) for visit in SHOPPERS]
        # Before they leave: a browser may still say something of the last page.
        received = wait_for_events(site.api_url, visits)
    well, verdict = build_verdict(received, visits)
    print(f"\n{build_table(received, visits)}\n\n{verdict}", flush=True)
    if not well:
        raise DemoError("Topsort did not hear of everything as it happened.")


def keep_serving(site: Site) -> None:
    print(
        f"\nThe shop:               {site.shop_url}  (log in as ada, harbour-lane)"
        f"\nWhat Topsort received:  {site.api_url}/"
        "\nCtrl-C ends both.",
        flush=True,
    )
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    sys.exit(main())
