"""The page that Prometheus scrapes: of all processes, and only for who brings the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import Http404, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from django_topsort.conf import topsort_settings
from django_topsort.contrib.prometheus.registering import build_registry
from django_topsort.loading import require

with require("prometheus_client", needed_by=__name__.rpartition(".")[0], extra="prometheus"):
    from prometheus_client.exposition import choose_encoder

if TYPE_CHECKING:
    from django.http import HttpRequest

_registry = build_registry()


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics of this package, where ``TOPSORT_METRICS_TOKEN`` is brought as a bearer.

    Without that setting there is no such page (404); a request without the token gets a 401.
    """
    token = topsort_settings.TOPSORT_METRICS_TOKEN
    if not token:
        raise Http404("TOPSORT_METRICS_TOKEN is not set")
    if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {token}"):
        refusal = "Bring TOPSORT_METRICS_TOKEN: Authorization: Bearer ...\n"
        headers = {"WWW-Authenticate": "Bearer", "Cache-Control": "no-store"}
        return HttpResponse(refusal, status=401, content_type="text/plain", headers=headers)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(encode(_registry), content_type=content_type, headers=headers)
