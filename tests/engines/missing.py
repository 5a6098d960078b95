"""``python -m tests.engines.missing``: a line for each broker that the tests must leave out."""

from __future__ import annotations

import sys

from tests.engines.brokers import BROKERS, find_missing

if __name__ == "__main__":
    for kind in BROKERS:
        if missing := find_missing(kind):
            sys.stdout.write(f"{kind} ({missing})\n")
