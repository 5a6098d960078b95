"""A database that refuses, is elsewhere or away: faults 68 to 70 and 72."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults.databases import OUTBOX as OUTBOX_TABLE
from tests.faults.databases import Database, make_database
from tests.faults.outages import make_outage
from tests.faults.shops import OUTBOX, SECONDS, SHOPPER, Shop

pytestmark = pytest.mark.faults
pytest_plugins = ["tests.faults.market.fixtures"]


def test_fault_68_table_that_somebody_has_locked(
    shop: Shop, market_database: Database, tmp_path: Path
) -> None:
    if shop.database.vendor == "sqlite":
        # There all of a database is locked, so the order is in another one.
        entry = {**shop.database.entry, "NAME": str(tmp_path / "outbox.sqlite3")}
        market_database = Database(entry)
        shop.add_database("outbox", market_database)
        shop.settings["DATABASE_ROUTERS"] = ["tests.faults.market.routers.OutboxElsewhere"]
    for entry in shop.settings["DATABASES"].values():
        entry["OPTIONS"] = {**entry["OPTIONS"], **IMPATIENT[shop.database.vendor]}

    with market_database.lock_outbox():
        ended = shop.run(
            """
            with transaction.atomic():
                buy("1")
                Order.objects.count()  # the transaction is whole
            record(build_event("purchases", "2"))
            tell(orders=Order.objects.count())
            flush(5)
            """
        )

    assert ended.facts == {"orders": 1}
    assert shop.get_received() == ["1", "2"]
    assert "outbox not written" in ended.log
    assert SHOPPER not in ended.log
    assert market_database.get_rows() == {}


def test_fault_68_row_that_somebody_has_locked(shop: Shop) -> None:
    if shop.database.vendor != "postgresql":
        pytest.skip("others do not come as far as to change that row")
    shop.settings["DATABASES"]["default"]["OPTIONS"] |= IMPATIENT["postgresql"]
    shop.run("record(build_event('clicks', 'c-1'))")
    shop.database.query("UPDATE {} SET status = 'rejected'")

    with shop.database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT id FROM {OUTBOX_TABLE} FOR UPDATE")
        ended = shop.run(
            """
            with transaction.atomic():
                place_order("1")
                record(build_event("clicks", "c-1"))
                Order.objects.count()  # the transaction is whole
            tell(orders=Order.objects.count())
            flush(5)
            """
        )

    assert ended.facts == {"orders": 1}
    assert shop.get_received() == ["c-1"]


# Half a second or so, where the defaults are half a minute and more.
IMPATIENT: dict[str, dict[str, Any]] = {
    "sqlite": {"timeout": 0.5},
    "postgresql": {"options": "-c lock_timeout=500"},
    "mysql": {"init_command": "SET lock_wait_timeout=1, innodb_lock_wait_timeout=1"},
}
ODD_IDS = [
    "nul-\0",
    "\U0001f45f",
    "\u202e-\u2028-",
    "quote'\"\\",
    "long" * 60,
    "%s {}",
    "\x7f\x1b[31m",
]


def test_fault_69_text_that_databases_refuse(shop: Shop) -> None:
    buy_oddly(shop)

    assert shop.database.count("pending") == len(ODD_IDS) + 1
    shop.relay()
    assert shop.get_received() == sorted([*ODD_IDS, "1001"])


def buy_oddly(shop: Shop) -> None:
    """Place an order and report purchases with odd ids, some of which can be no event at all."""
    ended = shop.run(
        f"""
        with transaction.atomic():
            buy("1001")
            for number in {ODD_IDS!r}:
                order = {{"number": number, "lines": [{{"sku": number, "line_total": "5.00"}}]}}
                track_purchase(order, opaque_user_id="shopper-1")
            for total in ("NaN", "Infinity", "1E999"):
                order = {{"number": total, "lines": [{{"sku": "a", "line_total": total}}]}}
                track_purchase(order, opaque_user_id="shopper-1")
            surrogate = {{"number": "\\ud800", "lines": [{{"sku": "\\ud800", "line_total": "5"}}]}}
            track_purchase(surrogate, opaque_user_id="shopper-1")
        tell(orders=Order.objects.count())
        """
    )
    assert ended.facts == {"orders": 1}


def test_fault_69_database_with_three_bytes_for_a_character(tmp_path: Path, shop: Shop) -> None:
    if shop.database.vendor != "mysql":
        pytest.skip("others have no such character set")
    with make_database(tmp_path, "CHARACTER SET utf8mb3") as database:
        shop.add_database("default", database)
        shop.database = database

        buy_oddly(shop)

        assert shop.database.count("pending") == len(ODD_IDS) + 1
        shop.relay()
        assert shop.get_received() == sorted([*ODD_IDS, "1001"])


def test_fault_69_answer_that_a_column_cannot_hold(shop: Shop, tmp_path: Path) -> None:
    options = "CHARACTER SET utf8mb3" if shop.database.vendor == "mysql" else ""
    (tmp_path / "older").mkdir()
    with make_database(tmp_path / "older", options) as database:
        shop.add_database("default", database)
        shop.database = database
        shop.run("store('p', 2)")
        said = {"errCode": "nul-\0-shoe-\U0001f45f", "message": "\U0001f45f" * 900}
        answer = json.dumps(said).encode()
        shop.api.answer(400, answer, matches=lambda request: b'"p-0"' in request.body)

        shop.relay()

        assert shop.database.get_rows() == {"p-0": "rejected", "p-1": "delivered"}


def test_fault_70_outbox_in_another_database(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "outbox").mkdir()
    with make_database(tmp_path / "outbox") as database:
        shop.add_database("outbox", database)
        shop.settings["DATABASE_ROUTERS"] = ["tests.faults.market.routers.OutboxElsewhere"]
        ended = shop.run(
            """
            with transaction.atomic():
                buy("1")
                transaction.set_rollback(True)
            with transaction.atomic():
                buy("2")
            """
        )

        assert shop.database.count_orders() == 1
        assert shop.database.get_rows() == {}
        assert database.get_rows() == {"2": "pending"}
        # Whoever runs the shop must know that a kill may come in between.
        assert "order in another database using=default outbox=outbox" in ended.log
        shop.relay()
    assert shop.get_received() == ["2"]


def test_fault_70_replica_that_is_behind(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "replica").mkdir()
    with make_database(tmp_path / "replica") as database:
        shop.add_database("replica", database)
        shop.settings["DATABASE_ROUTERS"] = ["tests.faults.market.routers.Replica"]
        process = shop.start(
            """
            with transaction.atomic():
                buy("1")
            with transaction.atomic():
                transaction.on_commit(die)
                buy("2")
            """
        )

        assert process.wait().code == -9
        shop.database.make_due()
        shop.relay()
        assert database.get_rows() == {}
    assert shop.get_received() == ["1", "2"]


@pytest.mark.parametrize("kind", ["gunicorn-gthread", "uvicorn"])
def test_fault_72_database_that_is_down(shop: Shop, kind: str) -> None:
    with make_outage(shop.database) as outage:
        databases = {"default": outage.entry}
        backends = {"default": OUTBOX}
        with shop.serve(kind, DATABASES=databases, TOPSORT_BACKENDS=backends) as site:
            assert site.get("/plain/?id=before").status == 200
            outage.begin()
            # Neither page needs the database itself.
            assert site.get("/plain/?id=during").status == 200
            assert site.get("/buy-without-order/?number=1").status == 200
            shop.api.wait_for(5, timeout=SECONDS)
            outage.end()
            assert site.get("/buy/?number=2").status == 200
            log = site.read_log()

    assert "outbox not written" in log
    assert SHOPPER not in log
    shop.relay()
    visits = [event["page"]["pageId"] for event in shop.api.pageviews]
    assert sorted(visits) == ["before", "during"]
    assert sorted(event["id"] for event in shop.api.purchases) == ["1", "2"]
    assert len(shop.api.impressions) == 6
    assert shop.api.repeated == []
