"""docs/howto/outbox.md: from the commit to Topsort, whoever sends."""

from __future__ import annotations

import configparser
import io
import shlex
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import transaction
from django.utils.module_loading import import_string

from django_topsort.conf import topsort_settings
from django_topsort.outbox.models import OutboxEvent
from django_topsort.purchases.buyers import remember_buyer
from django_topsort.testing import FakeApi
from tests.docs.guides import Project, get_guide, get_keys, get_text, read_settings
from tests.orders import place_order
from tests.shop.models import Order

BLOCKS = [
    "mysite/settings.py",
    "console",
    "shop/payments.py",
    "mysite/settings.py, where the command sends",
    "/etc/systemd/system/topsort-relay.service",
    "console",
]
STATUS = "python manage.py topsort_status --max-age 900"
SHOPPER = "0190d8f2-0000-7000-8000-000000000000"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("own_backends"),
]


def read_all_settings() -> dict[str, Any]:
    """Return the guide's settings, of both blocks."""
    # The app is in the tests' settings already; that it is written once more is not the guide's.
    values = read_settings("outbox") | read_settings("outbox", BLOCKS[3])
    values["INSTALLED_APPS"] = list(dict.fromkeys(values["INSTALLED_APPS"]))
    return values


@pytest.fixture
def api(project: Project) -> Iterator[FakeApi]:
    project.follow("outbox")
    with (
        FakeApi(api_key="TSE_tests") as api,
        project.use(TOPSORT_API_URL=api.url, **read_all_settings()),
    ):
        yield api


def pay(order: Order) -> None:
    """Mark an order as paid, as the guide does; its shopper was at the checkout before."""
    remember_buyer(order, SHOPPER)
    import_string("shop.payments.mark_as_paid")(order)


def run_command(line: str) -> str:
    """Run what a console says after ``python manage.py``."""
    words = shlex.split(line)
    assert words[:2] == ["python", "manage.py"]
    out = io.StringIO()
    call_command(*words[2:], stdout=out)
    return out.getvalue()


def test_guide_has_these_blocks() -> None:
    assert get_keys("outbox") == BLOCKS


def test_settings_of_the_guide_pass_the_checks(api: FakeApi) -> None:
    assert [one for one in run_checks() if (one.id or "").startswith("django_topsort.E")] == []
    assert topsort_settings.TOPSORT_OUTBOX_RELAY is False
    assert "django_topsort.outbox" in settings.INSTALLED_APPS


def test_commands_of_the_guide_end_well(api: FakeApi) -> None:
    lines = "".join(block.text for block in get_guide("outbox") if block.language == "console")

    for line in lines.splitlines():
        run_command(line)

    assert len(lines.splitlines()) == 3


def test_paid_order_waits_until_the_relay_sends_it(api: FakeApi) -> None:
    pay(place_order())

    assert "  purchases             1          1" in run_command(STATUS)
    assert api.purchases == []
    run_command("python manage.py topsort_relay --once")
    assert [purchase["id"] for purchase in api.purchases] == ["1001"]
    assert OutboxEvent.objects.get().status == "delivered"


def test_status_ends_with_1_for_a_purchase_that_waits_for_too_long(api: FakeApi) -> None:
    pay(place_order())

    with pytest.raises(SystemExit) as ended:
        run_command("python manage.py topsort_status --max-age 0")

    assert ended.value.code == 1


def test_order_that_is_not_saved_is_no_purchase(api: FakeApi) -> None:
    order = place_order()
    with transaction.atomic():
        pay(order)
        transaction.set_rollback(True)

    run_command("python manage.py topsort_relay --once")

    assert api.purchases == []
    assert not OutboxEvent.objects.exists()


def test_service_runs_the_relay() -> None:
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(get_text("outbox", BLOCKS[4]))
    service = SimpleNamespace(**unit["Service"])

    assert shlex.split(service.ExecStart)[1:] == ["manage.py", "topsort_relay"]
    assert int(service.TimeoutStopSec) > topsort_settings.TOPSORT_SHUTDOWN_TIMEOUT
    assert service.Restart == "always"
