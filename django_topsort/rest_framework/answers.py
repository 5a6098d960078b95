"""Answers of the endpoint: JSON in the shape of Topsort's API, whatever the project's settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.http import HttpResponse

if TYPE_CHECKING:
    from django_topsort.browser.intake import Intake

DOC_URL = "https://api.docs.topsort.com/reference/errors"
# By status, where there is nothing more to say.
ERR_CODES = {429: "rate_limited", 500: "internal_server_error"}
MESSAGES = {
    400: "the request cannot be read",
    401: "the request must say who makes it",
    403: "this request is not allowed",
    404: "there is nothing here",
    429: "too many requests; send the events again later",
    500: "something went wrong here; send the events again later",
}


def build_error(
    status: int,
    message: str = "",
    err_code: str = "",
    *,
    errors: list[dict[str, object]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """Return an error as Topsort's API words it; ``errors`` names the events that are refused."""
    content: dict[str, object] = {
        "errCode": err_code or ERR_CODES.get(status, "bad_request"),
        "docUrl": DOC_URL,
        "message": message or MESSAGES.get(status, "the request cannot be answered"),
    }
    if errors:
        content["errors"] = errors
    body = json.dumps(content)
    response = HttpResponse(body, status=status, content_type="application/json", headers=headers)
    # Django would log each one, of which anybody can cause as many as he likes; what there is to
    # say has been said, once a minute.
    response._has_been_logged = True  # type: ignore[attr-defined]  # Django's mark
    return response


def build_empty() -> HttpResponse:
    """Return the answer that has nothing to say."""
    response = HttpResponse(status=204)
    del response["Content-Type"]  # of nothing
    return response


def build_answer(intake: Intake) -> HttpResponse:
    """Return the answer that says what became of a body: 204, or what was not taken and why."""
    if intake.status == 204:
        return build_empty()
    errors = [refusal.as_json() for refusal in intake.refusals]
    return build_error(intake.status, intake.message, intake.err_code, errors=errors)
