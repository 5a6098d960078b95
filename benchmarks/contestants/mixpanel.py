"""Mixpanel: a tracked event, through its BufferedConsumer."""

from __future__ import annotations

from contextlib import suppress

from benchmarks.contestants.impressions import EVENT, USER, describe


class Contestant:
    """BufferedConsumer's default settings: 50 events a request, on the thread of the last one.

    Its default, Consumer, makes a request of each event while the page waits; BufferedConsumer is
    what its documentation has for many events. Its HTTP adapter, with the retries, is there for
    ``https://`` only; here it is used for plain HTTP, too, because that is what shops have. What
    it raises is swallowed, as a page must go on; it keeps those events until the next one comes.
    """

    requirement = "mixpanel"

    def start(self, url: str) -> None:
        """Make a client whose events go to the sink."""
        from mixpanel import BufferedConsumer, Mixpanel, MixpanelException

        self._consumer = BufferedConsumer(events_url=f"{url}/track")
        session = self._consumer._consumer._session
        session.mount("http://", session.get_adapter("https://"))
        self._client = Mixpanel("benchmarks", consumer=self._consumer)
        self._error = MixpanelException

    def begin_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def record(self, bid: str, position: int) -> None:
        """Track an event of the shopper."""
        with suppress(self._error):
            self._client.track(USER, EVENT, describe(bid, position))

    def end_page(self) -> None:
        """Do nothing: the client knows no pages."""

    def flush(self, timeout: float) -> None:
        """Send what is buffered, on this thread; it knows no timeout."""
        with suppress(self._error):
            self._consumer.flush()
