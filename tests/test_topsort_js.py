"""The script as it is shipped; what it does is shown in real browsers (make test-browsers)."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import django_topsort

SCRIPT = Path(django_topsort.__file__).parent / "static" / "django_topsort" / "topsort.js"
LIMIT = 3072  # bytes


def test_script_is_small_as_it_is_shipped() -> None:
    size = len(gzip.compress(SCRIPT.read_bytes()))

    assert size <= LIMIT, f"topsort.js has {size} bytes when compressed, {LIMIT} are allowed"


def test_script_keeps_a_strict_policy_and_sets_no_cookie() -> None:
    text = SCRIPT.read_text(encoding="utf-8")

    assert re.findall(r"\beval\b|new Function|innerHTML|\.style\b|\bcookie\b|https?:", text) == []
