"""The demo: a fake Topsort API, the example shop, two shoppers, and what Topsort heard of them.

It needs only the package with its `testing` extra, and no network. On a terminal the shop stays
open at the end, until Ctrl-C; otherwise the exit code says whether all is well: 0 or 1.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path

from walkthrough.exceptions import DemoError
from walkthrough.servers import Site, serve_site
from walkthrough.shoppers import visit_as_customer, visit_as_guest
from walkthrough.verdict import build_table, build_verdict, wait_for_events


def main() -> int:
    for ending in (signal.SIGTERM, signal.SIGHUP):
        # Ended from outside, the demo still ends what it has started.
        signal.signal(ending, lambda *_: sys.exit(1))
    try:
        with tempfile.TemporaryDirectory(prefix="topsort-demo-") as directory:
            print("Starting the shop and a fake of Topsort's API ...", flush=True)
            with serve_site(Path(directory)) as site:
                walk(site)
                if sys.stdin.isatty() and sys.stdout.isatty():
                    keep_serving(site)
    except DemoError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print()
        return 1
    return 0


def walk(site: Site) -> None:
    """Send the shoppers through the shop; show what Topsort heard of all that they did."""
    print("A guest searches, clicks and buys; then a customer does ...", flush=True)
    visits = [visit_as_guest(site.shop_url), visit_as_customer(site.shop_url)]
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
