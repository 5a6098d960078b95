"""``topsort_forget_shoppers``: what it deletes, and that it shows nobody's id."""

from __future__ import annotations

import logging
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import F

from django_topsort.outbox.models import RememberedShopper
from django_topsort.purchases.buyers import get_remembered_buyer, remember_buyer, remember_refusal

ANNA, BEN = "0190d8f2-anna", "0190d8f2-ben"
pytestmark = pytest.mark.django_db


def forget(*args: str) -> str:
    output = StringIO()
    call_command("topsort_forget_shoppers", *args, stdout=output, stderr=output)
    return output.getvalue().strip()


def remember(number: str, shopper: str, days: float = 0) -> None:
    assert remember_buyer(number, shopper)
    RememberedShopper.objects.filter(order_key=number).update(
        created_at=F("created_at") - timedelta(days=days)
    )


def get_orders() -> list[str]:
    return list(RememberedShopper.objects.order_by("pk").values_list("order_key", flat=True))


@pytest.mark.parametrize(
    ("args", "left"),
    [
        ([], ["1002", "1003", "1004"]),
        (["--older-than", "3.5"], ["1003", "1004"]),
        (["--older-than", "0"], []),
        (["--order", "1003", "1004", "--order", "9999"], ["1001", "1002"]),
        (["--opaque-user-id", ANNA], ["1002", "1004"]),
        (["--opaque-user-id", ANNA, "--older-than", "50"], ["1002", "1003", "1004"]),
        (["--opaque-user-id", ANNA, "--order", "1003", "1004"], ["1001", "1002", "1004"]),
    ],
)
def test_command_forgets_what_all_its_options_mean(args: list[str], left: list[str]) -> None:
    remember("1001", ANNA, 91)
    remember("1002", BEN, 4)
    remember("1003", ANNA, 3)
    remember_refusal("1004")

    assert forget(*args, "--dry-run") == f"dry run, forgotten: {4 - len(left)}"
    assert len(get_orders()) == 4
    assert forget(*args) == f"forgotten: {4 - len(left)}"

    assert get_orders() == left


def test_command_finds_numbers_that_are_too_long_for_a_column() -> None:
    remember("9" * 300, ANNA)

    assert forget("--order", "9" * 300) == "forgotten: 1"


def test_command_forgets_the_shopper_of_an_order_in_the_cache_too(settings: Any) -> None:
    with_outbox = settings.INSTALLED_APPS
    settings.INSTALLED_APPS = [app for app in with_outbox if app != "django_topsort.outbox"]
    assert remember_buyer("1001", ANNA)
    settings.INSTALLED_APPS = with_outbox
    assert get_remembered_buyer("1001") is not None

    assert forget("--order", "1001") == "forgotten: 0"

    assert get_remembered_buyer("1001") is None


def test_command_shows_nobodys_id(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "django_topsort")
    remember("1001", ANNA)

    said = forget("--opaque-user-id", ANNA)

    captured = capsys.readouterr()
    assert ANNA not in f"{said} {caplog.text} {captured.out} {captured.err}"


@pytest.mark.parametrize(
    "args", [("--older-than", "-1"), ("--older-than", "nan"), ("--opaque-user-id", "")]
)
def test_command_refuses_what_could_mean_everybody(args: tuple[str, ...]) -> None:
    remember("1001", ANNA)

    with pytest.raises(CommandError, match=args[0]):
        forget(*args)

    assert get_orders() == ["1001"]


@pytest.mark.django_db(transaction=True)
def test_command_names_a_database_that_fails_and_not_the_id() -> None:
    with connection.schema_editor() as editor:
        editor.delete_model(RememberedShopper)
    try:
        with pytest.raises(CommandError, match="is it migrated") as raised:
            forget("--opaque-user-id", ANNA)
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(RememberedShopper)
    assert ANNA not in str(raised.value)
