"""``python -m tests.servers.project.uwsgi``: uWSGI, whose wheel is a module that has to be called."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import pyuwsgi

    sys.exit(pyuwsgi.run(sys.argv[1:]))
