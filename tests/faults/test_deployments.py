"""Deployments: old code and new rows, new code and old rows (98, 99), and an API that is down."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.shops import OUTBOX, SECONDS, THREAD, Shop, wait_until

pytestmark = pytest.mark.faults
pytest_plugins = ["tests.faults.market.fixtures"]

VISITS = 25

# What the first version of the package has written, as rows of it may stand in tables for days.
EVENT = {
    "id": "golden-1",
    "opaqueUserId": "shopper-1",
    "occurredAt": "2026-03-04T05:06:07Z",
    "items": [{"productId": "shoe-1", "unitPrice": 29.95, "quantity": 2, "vendorId": "7"}],
    "deviceType": "mobile",
    "channel": "onsite",
}
ANNOUNCEMENT = {
    "name": "golden-2",
    "using": "default",
    "model": "shop.order",
    "pk": "{pk}",
    "opaque_user_id": "shopper-1",
    "device_type": "mobile",
    "channel": "onsite",
}


def insert_row(shop: Shop, **values: Any) -> None:
    """Write a row as a process does that runs other code: in the columns that it knows."""
    row = {
        "kind": "purchases",
        "payload": json.dumps(EVENT),
        "occurred_at": "2026-03-04 05:06:07",
        "created_at": "2026-03-04 05:06:07",
        "due_at": "2026-03-04 05:06:07",
        **values,
    }
    row.setdefault("key", row["event_id"])
    quote = "`" if shop.database.vendor == "mysql" else '"'
    columns = ", ".join(f"{quote}{name}{quote}" for name in row)
    places = ", ".join(["%s"] * len(row))
    shop.database.query(f"INSERT INTO {{}} ({columns}) VALUES ({places})", *row.values())


def test_fault_98_new_code_before_its_migration(shop: Shop) -> None:
    """The tables are those of before there was an outbox for events."""
    shop.run("call_command('migrate', 'topsort_outbox', '0001', verbosity=0)")

    with shop.serve("gunicorn-gthread", TOPSORT_OUTBOX_RELAY=True) as site:
        assert site.get("/buy/?number=1").status == 200
        shop.api.wait_for(1, "purchases", timeout=SECONDS)
        shop.migrate()
        assert site.get("/buy/?number=2").status == 200
        shop.api.wait_for(2, "purchases", timeout=SECONDS)
        wait_until(lambda: shop.database.get_rows() == {"2": "delivered"})

    assert shop.get_received() == ["1", "2"]


def test_fault_98_old_code_after_the_next_migration(shop: Shop) -> None:
    """A later version has added a column, a status, a kind and a form of its rows."""
    shop.database.query("ALTER TABLE {} ADD COLUMN region VARCHAR(8) NOT NULL DEFAULT 'eu'")
    insert_row(shop, event_id="newer-form", schema_version=2, payload='{"v": 2}')
    insert_row(shop, event_id="newer-status", status="paused")
    insert_row(shop, event_id="newer-kind", kind="refunds")

    ended = shop.run(
        """
        from django_topsort.status import get_status
        with transaction.atomic():
            buy("1")
        store("p", 60)
        tell(**get_status()["outbox"]["purchases"])
        """
    )
    shop.relay(is_all=False)

    figures = ended.facts
    assert figures["stored"] == sum(
        figures[name] for name in ("waiting", "delivered", "rejected", "dead")
    )
    assert figures["waiting"] == 62
    rows = shop.database.get_rows()
    left = {name: rows.pop(name) for name in list(rows) if name.startswith("newer")}
    assert left == {"newer-form": "pending", "newer-status": "paused", "newer-kind": "pending"}
    assert set(rows.values()) == {"delivered"}
    assert len(shop.get_received()) == 61
    assert "dead letter" not in ended.log


def test_fault_99_rows_of_the_first_version(shop: Shop) -> None:
    """They name only what the first version had, and the table gives the rest."""
    ended = shop.run("tell(pk=place_order('golden-2').pk)")
    announcement = json.dumps(ANNOUNCEMENT).replace("{pk}", str(ended.facts["pk"]))
    insert_row(shop, event_id="golden-1")
    insert_row(
        shop,
        event_id="golden-2",
        payload=announcement,
        status="announced",
        is_announcement=True,
    )

    shop.relay()

    golden, announced = sorted(shop.api.purchases, key=lambda event: str(event["id"]))
    assert {name: str(value) for name, value in golden.items() if name != "items"} == {
        name: str(value) for name, value in EVENT.items() if name != "items"
    }
    assert [str(item["unitPrice"]) for item in golden["items"]] == ["29.95"]
    assert announced["id"] == "golden-2"
    assert sorted(item["productId"] for item in announced["items"]) == ["hat-1", "shoe-1"]
    assert announced["opaqueUserId"] == "shopper-1"


def test_fault_99_downgrade_while_rows_wait(shop: Shop) -> None:
    """The migration back would drop the table, with the purchases in it."""
    shop.run("store('p', 2)")

    process = shop.start("call_command('migrate', 'topsort_outbox', '0001', verbosity=0)")

    ended = process.wait()
    assert ended.code != 0
    assert "topsort_relay" in ended.log
    assert shop.database.count("pending") == 2
    shop.relay()
    shop.run("call_command('migrate', 'topsort_outbox', '0001', verbosity=0)")
    assert shop.get_received() == ["p-0", "p-1"]


@pytest.mark.parametrize("outage", ["refuses", "hangs", "fails"])
@pytest.mark.parametrize("kind", ["gunicorn-sync", "gunicorn-gthread", "uvicorn"])
def test_deployment_during_an_outage_loses_nothing(shop: Shop, kind: str, outage: str) -> None:
    settings: dict[str, Any] = {
        "TOPSORT_BACKENDS": {"default": THREAD, "purchases": OUTBOX, "overflow": OUTBOX},
        "TOPSORT_OUTBOX_RELAY": True,
        "TOPSORT_OUTBOX_SWEEP_INTERVAL": 0.5,
        "TOPSORT_OUTBOX_LEASE": 4,
        "TOPSORT_SHUTDOWN_TIMEOUT": 4,
        "TOPSORT_TIMEOUT": [1, 2],
    }
    begin = {"refuses": shop.api.refuse, "hangs": shop.api.hang, "fails": shop.api.answer}[outage]
    with begin(), shop.serve(kind, "before", **settings) as site:
        for number in range(VISITS):
            assert site.get(f"/plain/?id=v-{number}").status == 200
            assert site.get(f"/buy/?number=o-{number}").status == 200
        code, took = site.stop()
        assert code == site.server.ends_with
        assert took < 15
    assert shop.api.events == []
    shop.api.clear_faults()

    with shop.serve(kind, "after", **settings):
        shop.api.wait_for(5 * VISITS, timeout=SECONDS)
        wait_until(lambda: shop.database.count("pending") == 0)

    assert len(shop.api.events) == 5 * VISITS
    visits = sorted(event["page"]["pageId"] for event in shop.api.pageviews)
    assert visits == sorted(f"v-{number}" for number in range(VISITS))
    orders = sorted(event["id"] for event in shop.api.purchases)
    assert orders == sorted(f"o-{number}" for number in range(VISITS))
    assert len(shop.api.impressions) == 3 * VISITS
    assert shop.api.altered == []
