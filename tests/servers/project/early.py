"""The site, with events that are recorded when it is loaded: before a server forks, if it does."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from django_topsort.delivery import flush
from tests.faults.recording import record_click
from tests.servers.project import ledger  # noqa: F401  # connects itself

application = get_wsgi_application()

record_click(f"early-{os.getpid()}")
assert flush(10)  # so that there is a thread that a fork would kill
record_click(f"waiting-{os.getpid()}")
