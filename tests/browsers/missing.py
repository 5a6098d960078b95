"""``python -m tests.browsers.missing``: a line for each thing that the tests must leave out."""

from __future__ import annotations

import os
import shutil
import sys

NEEDS = {
    "chromium": "the script in a browser, Topsort's analytics.js",
    "chromedriver": "the script in a browser, Topsort's analytics.js",
    "npm": "Topsort's @topsort/sdk",
    "node": "Topsort's @topsort/sdk",
}


def get_missing() -> dict[str, str]:
    """Return what cannot be run, by the program that is not installed or the variable not set."""
    missing = {f"no {name}": what for name, what in NEEDS.items() if shutil.which(name) is None}
    if "TOPSORT_ANALYTICS_JS" not in os.environ:
        missing["TOPSORT_ANALYTICS_JS is not set"] = "Topsort's analytics.js"
    return missing


if __name__ == "__main__":
    for reason, what in get_missing().items():
        sys.stdout.write(f"{what} ({reason})\n")
