"""``manage.py topsort_fake_api``: a Topsort of one's own to develop against."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand, CommandError

if TYPE_CHECKING:
    from argparse import ArgumentParser

    from django_topsort.testing.fake_api import FakeApi
    from django_topsort.testing.ledger import ReceivedRequest

DEVELOPMENT_KEY = "TSE_development"


class Command(BaseCommand):
    """Runs a FakeApi in the foreground until Ctrl-C."""

    help = (
        "Runs a local server that takes and refuses events as Topsort's Events API does, "
        "with a page that shows them as they arrive."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
        parser.add_argument("--port", type=int, default=8787, help="default: 8787; 0: a free one")
        parser.add_argument(
            "--api-key", default=None, help="the only key to let in; default: any TSE_ key"
        )
        parser.add_argument(
            "--category-field",
            choices=("categoryIds", "categoryId"),
            default="categoryIds",
            help="the form of a placement's category; default: categoryIds",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        api = self.start_api(options)
        try:
            self.show_start(api.url, options["api_key"])
            threading.Event().wait()
        except KeyboardInterrupt:
            self.stdout.write("\nStopped.")
        finally:
            api.stop()

    def start_api(self, options: dict[str, Any]) -> FakeApi:
        """Return a server that listens; CommandError says what it lacks."""
        try:
            # Here and not above: it needs a library that only projects that test install.
            from django_topsort.testing.fake_api import FakeApi

            api = FakeApi(
                api_key=options["api_key"],
                host=options["host"],
                port=options["port"],
                category_field=options["category_field"],
                on_request=self.show_request,
            )
        except ImportError as error:
            raise CommandError(str(error)) from error
        try:
            return api.start()
        except (OSError, OverflowError) as error:
            where = f"port {options['port']} of {options['host']}"
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                message = f"{where} is taken; choose another with --port"
            else:
                message = f"{where}: {error}"
            raise CommandError(message) from error

    def show_start(self, url: str, api_key: str | None) -> None:
        """Say where it listens and what the project's settings must say."""
        others = "" if api_key else "Any key that starts with TSE_ will do. "
        self.stdout.write(
            f"The fake Topsort API listens on {url}\n"
            f"Open {url}/ to see the events arrive. In the settings of the shop:\n\n"
            f'    TOPSORT_API_URL = "{url}"\n'
            f'    TOPSORT_API_KEY = "{api_key or DEVELOPMENT_KEY}"\n\n'
            f"{others}Ctrl-C ends it."
        )
        self.stdout.flush()

    def show_request(self, request: ReceivedRequest) -> None:
        """Print one line for a request: its status and the verdict."""
        style = self.style.SUCCESS if request.status == 204 else self.style.ERROR
        self.stdout.write(f"{request.time.astimezone():%H:%M:%S} {request}", style)
        self.stdout.flush()
