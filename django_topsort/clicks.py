"""Signed click tokens: what a click link says, so that nobody else can say it.

A token carries the click's fields and the address to which it leads. It is signed with
``SECRET_KEY`` under a salt of its own, so a token that was altered, or made by another site, opens
nothing, and no address that a visitor brings is ever followed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django.core import signing
from django.utils.http import url_has_allowed_host_and_scheme

from django_topsort.conf import topsort_settings
from django_topsort.exceptions import InvalidEvent, InvalidToken
from django_topsort.ids import build_id

if TYPE_CHECKING:
    from django.http import HttpRequest

SALT = "django_topsort.click"
MAX_TOKEN = 8192  # characters: a bid, a placement and two URLs fit several times
TARGET_RULE = (
    "it must be a path of this site, or lead to it or to a host of TOPSORT_CLICK_HOSTS by http(s)"
)
