"""``python -m tests.servers.project.uwsgi``: uWSGI, whose wheel is a module to be called."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import pyuwsgi  # type: ignore[import-not-found,unused-ignore]

    sys.exit(pyuwsgi.run(sys.argv[1:]))
