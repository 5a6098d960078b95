"""``python -m tests.servers.missing``: a line for each server that the tests must leave out."""

from __future__ import annotations

import sys

from tests.servers.serving import SERVERS, is_installed

if __name__ == "__main__":
    for kind, server in SERVERS.items():
        if not is_installed(server):
            sys.stdout.write(f"{kind} ({server.needs} is not installed)\n")
