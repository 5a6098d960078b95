"""The endpoint to which browsers and apps post what was seen and clicked."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import APIException, NotFound, ParseError
from rest_framework.exceptions import PermissionDenied as NotPermitted
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView, set_rollback

from django_topsort.browser.intake import take_events
from django_topsort.browser.origins import allow_reading, is_own_page
from django_topsort.delivery import log_safely
from django_topsort.rest_framework.answers import build_answer, build_empty, build_error
from django_topsort.rest_framework.bodies import read_bounded
from django_topsort.rest_framework.throttling import AddressThrottle, ShopperThrottle

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

FOREIGN_MESSAGE = (
    "this page may not post events here; TOPSORT_ALLOWED_ORIGINS of the shop names those that may"
)
KEPT_BY_NOBODY = "no-store, private"


class EventsView(APIView):
    """Takes events as Topsort's API does: ``POST {prefix}/v2/events``.

    Whatever the project sets for its own APIs does not count here. A subclass may set
    ``authentication_classes``, as where customers bring a token: then ``TOPSORT_USER_ID`` sees its
    user; and ``permission_classes`` and ``throttle_classes``.
    """

    authentication_classes: Any = ()
    permission_classes: Any = ()
    throttle_classes: Any = (ShopperThrottle, AddressThrottle)
    parser_classes: Any = ()
    renderer_classes: Any = (JSONRenderer,)
    versioning_class = None
    metadata_class = None
    http_method_names = ["post", "head", "options"]

    def post(self, request: Request) -> HttpResponse:
        """Record the events of the body."""
        django_request = request._request
        body = read_bounded(django_request)
        # The same address by which requests are counted: behind as many proxies.
        address = AddressThrottle().get_ident(request)
        return build_answer(take_events(django_request, body, address=address))

    def head(self, request: Request) -> HttpResponse:
        """Tell whom it concerns that the endpoint is there; nothing is recorded."""
        return build_empty()

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]  # no Response: nothing of DRF's settings
        """Tell a browser whether the page of another origin may post; JSON is asked for first."""
        return build_empty()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse another site's page before anything is counted, then do as DRF does."""
        if request.method in ("POST", "OPTIONS") and not is_own_page(request._request):
            raise NotPermitted(FOREIGN_MESSAGE)
        super().initial(request, *args, **kwargs)

    def perform_authentication(self, request: Request) -> None:
        """Leave ``request.user`` alone where nothing authenticates here.

        DRF would put an AnonymousUser in the place of the user whom the session has named.
        """
        if request.authenticators:
            super().perform_authentication(request)

    def perform_content_negotiation(
        self, request: Request, force: bool | None = False
    ) -> tuple[Any, str]:
        """Return JSON, whatever is asked for: what cannot read it has the status."""
        return JSONRenderer(), "application/json"

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # see above
        """Return the answer for what was raised, in the shape of Topsort's API."""
        set_rollback()
        if isinstance(exc, APIException):
            return self._answer(exc)
        if isinstance(exc, Http404):
            return self._answer(NotFound())
        if isinstance(exc, PermissionDenied):
            return self._answer(NotPermitted())
        if isinstance(exc, SuspiciousOperation):  # such as a host that is not ours
            return self._answer(ParseError())
        # Such as a hook of the project's that raises. The browser keeps what it has, and tries
        # again later.
        key = ("endpoint", type(exc).__name__)
        said = "browser's events not taken error=%s"
        log_safely(logging.ERROR, key, said, type(exc).__name__, error=exc)
        return build_error(500)

    def _answer(self, error: APIException) -> HttpResponse:
        headers = {}
        if wait := getattr(error, "wait", None):
            headers["Retry-After"] = str(math.ceil(wait))
        status = error.status_code
        if status == 401:
            # DRF answers 403 where no scheme is there to be named.
            scheme = self.get_authenticate_header(self.request)
            status = 401 if scheme else 403
            headers |= {"WWW-Authenticate": scheme} if scheme else {}
        # Of ours the text says what to do; of others' it may say anything.
        return build_error(status, str(error.detail), headers=headers)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Add what each answer has: that it is not kept, and who may read it."""
        super().finalize_response(request, response, *args, **kwargs)
        response["Cache-Control"] = KEPT_BY_NOBODY
        allow_reading(self.request._request, response)
        return response


@login_not_required
@csrf_exempt
def say_no_slash(request: HttpRequest) -> HttpResponse:
    """Tell whoever asks for the endpoint's address with a slash at its end what is wrong."""
    said = "there is nothing here; the address is the same without the slash at its end"
    return build_error(404, said, headers={"Cache-Control": KEPT_BY_NOBODY})


if apps.is_installed("drf_spectacular"):
    # It finds the description of the view once the module is loaded.
    from django_topsort.rest_framework import schema  # noqa: F401
