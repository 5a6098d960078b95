"""The panel itself."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from debug_toolbar.panels import Panel
from django.http import FileResponse, StreamingHttpResponse
from django.template.loader import render_to_string

from django_topsort.contrib.debug_toolbar.recording import Recorder, connect, current, fates
from django_topsort.contrib.debug_toolbar.summary import ABSENT, MISPLACED, STREAMS, Summary
from django_topsort.delivery import log_safely
from django_topsort.facts import get_collector

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

    from django_topsort.collector import Collector

FAILED = (
    "The panel could not sum up this request; the log says why. What is reported is not affected."
)


class TopsortPanel(Panel):
    """Shows what this request reports to Topsort, what it does not and why, and the body.

    It never raises into a page. What it keeps are plain values, for any store of the toolbar.
    """

    is_async = True
    template = "django_topsort/debug_toolbar.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._recorder: Recorder | None = None
        self._outer: Recorder | None = None
        self._first: Collector | None = None
        self._warnings: list[str] = []

    @property
    def title(self) -> str:
        """What was recorded, in figures."""
        counts = self.get_stats().get("counts")
        return f"Topsort: {counts}" if counts else "Topsort"

    @property
    def nav_subtitle(self) -> str:
        """What was left out, and why; or what the page tells its browser."""
        stats = self.get_stats()
        told = stats.get("told_words")
        said = [f"told the browser: {told}"] if told else []
        return "; ".join([*said, *filter(None, [stats.get("left_out_words")])])

    @property
    def content(self) -> str:
        """The panel, with what has become of the events since."""
        stats = self.get_stats()
        events = [
            {**one, "fate": fates.get(one["name"], "")} for one in list(stats.get("events", ()))
        ]
        return render_to_string(self.template, {**stats, "events": events})

    def enable_instrumentation(self) -> None:
        """Listen to this request."""
        with suppress(Exception):
            request = self.toolbar.request
            is_early = getattr(request, "topsort", None) is None
            connect()
            self._recorder = Recorder()
            collector = get_collector(request)
            collector.observer = self._recorder
            if is_early:
                self._first = collector
            self._outer = current.get()
            current.set(self._recorder)

    def disable_instrumentation(self) -> None:
        """Listen to no drop any more; to the request itself until it is summed up."""
        current.set(self._outer)

    def generate_stats(self, request: HttpRequest, response: HttpResponseBase) -> None:
        """Sum up what was noted; of a stream once more when it has ended."""
        recorder = self._recorder
        if recorder is None:
            return
        collector = get_collector(request)
        if self._first is not None:
            # The middleware gives each request a collector of its own.
            self._warnings.append(ABSENT if collector is self._first else MISPLACED)
        if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
            self._warnings.append(STREAMS)
            self._follow(recorder, request, response, collector)
        else:
            collector.observer = None
        self._sum_up(recorder, request, response, collector)

    def _sum_up(
        self,
        recorder: Recorder,
        request: HttpRequest,
        response: HttpResponseBase,
        collector: Collector,
    ) -> None:
        try:
            summary = Summary(recorder, request, response, collector)
            self.record_stats(summary.build(self._warnings))
        except Exception as error:
            log_safely(logging.ERROR, ("panel",), "panel not filled", error=error)
            with suppress(Exception):
                self.record_stats({"counts": "?", "warnings": [FAILED]})

    def _follow(
        self,
        recorder: Recorder,
        request: HttpRequest,
        response: StreamingHttpResponse,
        collector: Collector,
    ) -> None:
        """Sum up once more at the end of a stream, however it ends."""
        content: Any = response.streaming_content

        def end() -> None:
            with suppress(Exception):
                collector.observer = None
                self._warnings.remove(STREAMS)
                # It may have been forgotten in favour of later requests.
                if self.toolbar.store.exists(self.toolbar.request_id):
                    self._sum_up(recorder, request, response, collector)

        def stream() -> Iterator[Any]:
            try:
                yield from content
            finally:
                end()

        async def stream_on_loop() -> AsyncIterator[Any]:
            try:
                async for part in content:
                    yield part
            finally:
                end()

        response.streaming_content = stream_on_loop() if response.is_async else stream()
