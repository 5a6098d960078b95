"""The shop: one page with 24 sponsored products; and its Celery app, where it has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpResponse
from django.urls import path

from benchmarks.contestants.impressions import PAGE, PAGE_SIZE
from django_topsort.tracking import set_placement, track_impression

if TYPE_CHECKING:
    from django.http import HttpRequest


def show_products(request: HttpRequest, number: int) -> HttpResponse:
    """Show a page's products; ``number`` makes its bids the only ones of their name."""
    set_placement(request, page=PAGE, page_size=PAGE_SIZE)
    for position in range(1, PAGE_SIZE + 1):
        bid = f"bid-{number:08d}-{position:02d}"
        track_impression(request, resolved_bid_id=bid, position=position)
    return HttpResponse(b"24 products")


urlpatterns = [path("shoes/<int:number>/", show_products)]


def build_celery() -> Any:
    """Return the shop's Celery app, which reads its settings from Django's."""
    from celery import Celery  # type: ignore[import-untyped,unused-ignore]

    app = Celery("shop")
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.autodiscover_tasks()
    return app
