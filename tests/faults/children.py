"""What children of multiprocessing do; those that are spawned import this first."""

from __future__ import annotations


def report(name: str) -> None:
    import django
    from django.apps import apps

    if not apps.ready:
        django.setup()
    from tests.faults.recording import record_order
    from tests.servers.project import ledger  # noqa: F401  # connects itself

    record_order(name)
