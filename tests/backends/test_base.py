"""What a backend that defines nothing but its class does."""

from __future__ import annotations

import pytest

from django_topsort.backends.base import BaseEventBackend
from django_topsort.reporting import Reporter


def test_backend_must_define_send_events() -> None:
    class Empty(BaseEventBackend):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define send_events\(events\)"):
        Empty().send_events([])


def test_backend_has_nothing_to_flush_close_or_check() -> None:
    backend = BaseEventBackend()
    backend.close()

    assert backend.flush(0.0)
    assert backend.check() == []
    assert isinstance(backend.report, Reporter)
    assert (backend.blocking, backend.transactional, backend.production) == (False, False, True)
