"""What Django has from 6.0 on: a Content Security Policy."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


class ContentSecurityPolicyMiddleware:
    """Sends the policy that SECURE_CSP says, as Django's middleware of this name does."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        rules = settings.SECURE_CSP.items()
        self.policy = "; ".join(f"{name} {' '.join(sources)}" for name, sources in rules)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", self.policy)
        return response
