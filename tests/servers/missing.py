"""``python -m tests.servers.missing``: a line for each server or tool that tests must leave out."""

from __future__ import annotations

import shutil
import sys

from tests.servers.serving import SERVERS, is_installed

if __name__ == "__main__":
    for kind, server in SERVERS.items():
        if not is_installed(server):
            sys.stdout.write(f"the server {kind} ({server.needs} is not installed)\n")
    if shutil.which("promtool") is None:
        sys.stdout.write("promtool, which tests the alert rules (it is not installed)\n")
