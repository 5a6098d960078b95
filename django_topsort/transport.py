"""The way to Topsort through requests, for one host and one path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from django_topsort.exchange import EventsConnection, EventsPool

if TYPE_CHECKING:
    from django_topsort.timed import Deadline

EVENTS_PATH = "/v2/events"  # a slash at its end is answered with 404
LINKS_PATH = "/v2/events/beta/link-users"


class Answer(requests.Response):
    """An answer as far as anybody looks at it; tools that record requests look at its request."""

    def __init__(self, path: str) -> None:
        """Leave out what requests prepares: a cookie jar, a history, a clock."""
        self.url = path


class EventsAdapter(HTTPAdapter):
    """One connection to one host, for one path, and no more work per request than it takes.

    requests looks the pool up by the request's URL, looks for the certificates' file and builds a
    Response with a cookie jar, each time; together as dear as the request.
    """

    def __init__(self, deadline: Deadline, path: str) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._deadline = deadline
        self._path = path
        self._pool: Any = None

    def drop(self) -> None:
        """Close the connection; the next request opens another."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        self.poolmanager.clear()

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        if self._pool is None:
            pool: Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]
            pool.ConnectionCls = type(
                "EventsConnection",
                (EventsConnection, pool.ConnectionCls),
                {"deadline": self._deadline},
            )
            self._pool = EventsPool(pool)
        return self._pool

    def cert_verify(self, *args: Any) -> None:
        """Do nothing: the pool has been told, when it was made."""

    def request_url(self, *args: Any) -> str:
        return self._path

    def build_response(self, req: Any, resp: Any) -> Any:
        answer = Answer(self._path)
        answer.status_code = resp.status
        answer.headers = resp.headers
        answer.raw = resp
        answer.request = req
        return answer
