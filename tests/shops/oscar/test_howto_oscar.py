"""docs/howto/oscar.md: its settings are those that all tests of this folder run with."""

from __future__ import annotations

import io

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import override_settings

from tests.docs.guides import get_keys, read_settings
from tests.shops.oscar.settings import TOPSORT_BACKENDS

BLOCKS = ["mysite/settings.py"]
OURS = [name for name in settings.INSTALLED_APPS if name.startswith("django_topsort")]


def test_guide_has_these_blocks() -> None:
    assert get_keys("oscar") == BLOCKS


@pytest.mark.django_db  # some checks ask the database what it can do
def test_settings_of_the_guide_are_those_of_this_shop() -> None:
    others = [name for name in settings.INSTALLED_APPS if name not in OURS]

    made = read_settings("oscar", INSTALLED_APPS=others, MIDDLEWARE=settings.MIDDLEWARE[1:])

    assert made["INSTALLED_APPS"] == settings.INSTALLED_APPS
    assert made["MIDDLEWARE"] == settings.MIDDLEWARE
    assert TOPSORT_BACKENDS.items() <= made["TOPSORT_BACKENDS"].items()
    with override_settings(TOPSORT_BACKENDS=made["TOPSORT_BACKENDS"]):
        found = [one.id for one in run_checks() if (one.id or "").startswith("django_topsort")]
    assert found == []


@pytest.mark.django_db
def test_command_of_the_guide_looks_for_an_order() -> None:
    errors = io.StringIO()
    with pytest.raises(Exception, match="100001"):
        call_command("topsort_purchase", "order.Order", "100001", stderr=errors)
