"""Reading a request's body, no further than it may go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType

from django_topsort.conf import topsort_settings

if TYPE_CHECKING:
    from django.http import HttpRequest

# text/plain is what sendBeacon() and a request to another origin may have without asking first.
CONTENT_TYPES = frozenset({"application/json", "text/plain"})


class TooLarge(APIException):
    """A body of more bytes than ``TOPSORT_MAX_BODY_SIZE``."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


def read_bounded(request: HttpRequest) -> bytes:
    """Return the body of ``request``.

    Raises UnsupportedMediaType, TooLarge, and ParseError for a client that has left.
    """
    if request.content_type not in CONTENT_TYPES:
        detail = "Content-Type: it must be application/json or text/plain"
        raise UnsupportedMediaType("", detail=detail)
    most = get_max_size()
    said = request.META.get("CONTENT_LENGTH") or "0"
    if said.isdecimal() and (len(said) > 18 or int(said) > most):
        raise TooLarge(f"the body has {said[:20]} bytes, at most {most} are taken")
    try:
        body = request.read(most + 1)
    except (UnreadablePostError, OSError):
        raise ParseError("the body ended before it was there") from None
    if len(body) > most:
        raise TooLarge(f"the body has more than {most} bytes")
    return body


def get_max_size() -> int:
    """Return ``TOPSORT_MAX_BODY_SIZE``, or its default where it is no number of bytes."""
    size = topsort_settings.TOPSORT_MAX_BODY_SIZE
    if type(size) is int and size > 0:
        return size
    default: int = type(topsort_settings).TOPSORT_MAX_BODY_SIZE.default
    return default
