"""Reading a request's body, no further than it may go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from django.http import UnreadablePostError
from rest_framework import status
from rest_framework.exceptions import APIException, ParseError, UnsupportedMediaType

from django_topsort.conf import topsort_settings
from django_topsort.delivery import log_safely

if TYPE_CHECKING:
    from django.http import HttpRequest

# text/plain is what sendBeacon() and a request to another origin may have without asking first.
CONTENT_TYPES = frozenset({"application/json", "text/plain"})


class TooLarge(APIException):
    """A body of more bytes than ``TOPSORT_MAX_BODY_SIZE``."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


class NoLength(APIException):
    """A body that does not say its length, to a server that reads none without."""

    status_code = status.HTTP_411_LENGTH_REQUIRED


def read_bounded(request: HttpRequest) -> bytes:
    """Return the body of ``request``.

    Raises UnsupportedMediaType, TooLarge, NoLength, and ParseError for a client that has left.
    """
    if request.content_type not in CONTENT_TYPES:
        detail = "Content-Type: it must be application/json or text/plain"
        raise UnsupportedMediaType("", detail=detail)
    most = get_max_size()
    said = request.META.get("CONTENT_LENGTH") or ""
    if said.isdecimal() and (len(said) > 18 or int(said) > most):
        _say_too_large(most)
        raise TooLarge(f"the body has {said[:20]} bytes, at most {most} are taken")
    try:
        body = request.read(most + 1)
    except (UnreadablePostError, OSError):
        raise ParseError("the body ended before it was there") from None
    if len(body) > most:
        _say_too_large(most)
        raise TooLarge(f"the body has more than {most} bytes")
    if not body and not said and request.META.get("HTTP_TRANSFER_ENCODING"):
        # Under WSGI Django reads as much as the length says, which here is nothing.
        raise NoLength("this server reads no chunked body; send a Content-Length with it")
    return body


def get_max_size() -> int:
    """Return ``TOPSORT_MAX_BODY_SIZE``, or its default where it is no number of bytes."""
    size = topsort_settings.TOPSORT_MAX_BODY_SIZE
    if type(size) is int and size > 0:
        return size
    default: int = type(topsort_settings).TOPSORT_MAX_BODY_SIZE.default
    return default


def _say_too_large(most: int) -> None:
    # Whatever events it has are lost, and nobody can count them.
    said = "browser's request not taken: more bytes than TOPSORT_MAX_BODY_SIZE=%s"
    log_safely(logging.WARNING, ("body size",), said, most)
