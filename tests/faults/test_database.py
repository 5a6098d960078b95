"""Django and its database misbehave: faults 56 to 62."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.faults.outages import make_outage
from tests.faults.shops import OUTBOX, SECONDS, Shop, wait_until

pytestmark = pytest.mark.faults
pytest_plugins = ["tests.faults.market.fixtures"]

PAGES = 40


def test_fault_56_outbox_without_its_table(shop: Shop) -> None:
    shop.database.query("DROP TABLE {}")

    ended = shop.run(
        """
        with transaction.atomic():
            buy("1")
            Order.objects.count()  # the transaction is whole
        try:
            with transaction.atomic():
                buy("2")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        tell(orders=Order.objects.count(), is_empty=flush(30))
        """
    )

    # The outbox cannot say that nothing is in it.
    assert ended.facts == {"orders": 1, "is_empty": False}
    assert shop.get_received() == ["1"]
    assert "Is it migrated?" in ended.log
    assert "shopper-1" not in ended.log


def test_fault_57_order_that_is_rolled_back(shop: Shop) -> None:
    shop.run(
        """
        from django.db import DatabaseError

        def attempt(number, act):
            try:
                with transaction.atomic():
                    buy(number)
                    act(number)
            except (ZeroDivisionError, DatabaseError):
                pass

        def undo_a_part(number):
            with transaction.atomic():
                buy(f"part-of-{number}")
                transaction.set_rollback(True)

        attempt("raises", lambda number: 1 / 0)
        attempt("is-undone", lambda number: transaction.set_rollback(True))
        attempt("is-refused", lambda number: Order.objects.create(number=number, date_placed=None))
        attempt("kept", undo_a_part)
        attempt("kept-too", lambda number: None)
        """
    )

    assert shop.database.get_rows() == {"kept": "pending", "kept-too": "pending"}
    shop.relay()
    assert shop.get_received() == ["kept", "kept-too"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_fault_58_process_that_dies_in_its_on_commit_hooks(shop: Shop, when: str) -> None:
    process = shop.start(
        f"""
        with transaction.atomic():
            if {when!r} == "before":
                transaction.on_commit(die)
            buy("1")
            transaction.on_commit(die)
        """
    )

    assert process.wait().code == -9
    assert shop.database.count_orders() == 1
    assert shop.database.get_rows() == {"1": "announced" if when == "before" else "pending"}
    shop.database.make_due()
    shop.relay()
    assert shop.get_received() == ["1"]


def test_fault_59_view_that_fails_under_atomic_requests(shop: Shop) -> None:
    databases = {"default": {**shop.database.entry, "ATOMIC_REQUESTS": True}}

    with shop.serve("gunicorn-sync", DATABASES=databases) as site:
        assert site.get("/buy-and-fail/?number=1").status == 500
        assert site.get("/buy-at-once/?number=2").status == 200
        assert site.get("/buy/?number=3&fail=1").status == 500

    assert shop.database.get_rows() == {"2": "pending"}
    shop.relay()
    assert shop.get_received() == ["2"]


def test_fault_60_test_case_that_never_commits(shop: Shop) -> None:
    ended = shop.run(
        """
        import unittest
        from django.test import TestCase, TransactionTestCase
        from django.test.utils import get_runner
        from django_topsort.testing import capture_events

        class Checks:
            def test_purchase_is_seen_at_once(self):
                with capture_events() as events:
                    with transaction.atomic():
                        buy("1")
                    self.assertEqual([event.id for event in events.purchases], ["1"])
                self.assertFalse(OutboxEvent.objects.exists())

        class InOneTransaction(Checks, TestCase):
            pass

        class WithCommits(Checks, TransactionTestCase):
            pass

        loader = unittest.defaultTestLoader
        cases = [loader.loadTestsFromTestCase(case) for case in (InOneTransaction, WithCommits)]
        result = unittest.TextTestRunner().run(unittest.TestSuite(cases))
        tell(run=result.testsRun, failed=len(result.failures + result.errors))
        """
    )

    assert ended.facts == {"run": 2, "failed": 0}, ended.log
    assert shop.api.requests == []


@pytest.mark.parametrize("page", ["plain", "plain-async", "buy", "silent"])
@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
def test_fault_61_request_that_leaves_its_connection_open(shop: Shop, kind: str, page: str) -> None:
    skip_without_connections(shop)
    backends = {"default": OUTBOX}
    expected = {"silent": 0, "buy": PAGES}.get(page, 4 * PAGES)

    with shop.serve(kind, TOPSORT_BACKENDS=backends) as site:
        for number in range(PAGES):
            assert site.get(f"/{page}/?number={number}&id={number}").status == 200
        # Beside an event loop the rows are written after the response.
        wait_until(lambda: len(shop.database.get_rows()) >= expected)
        wait_until(lambda: count_connections(shop) == 0)  # a server takes leave in its own time

    assert len(shop.database.get_rows()) == expected


@pytest.mark.parametrize("kind", ["uvicorn", "gunicorn-gthread"])
def test_fault_61_relay_that_waits_with_its_connection_open(shop: Shop, kind: str) -> None:
    skip_without_connections(shop)

    with shop.serve(kind, TOPSORT_OUTBOX_RELAY=True) as site:
        for number in range(PAGES):
            assert site.get(f"/buy/?number={number}").status == 200
        shop.api.wait_for(PAGES, "purchases", timeout=SECONDS)
        wait_until(lambda: count_connections(shop) == 0)


def skip_without_connections(shop: Shop) -> None:
    if shop.database.vendor == "sqlite":
        pytest.skip("a file counts no connections")


def count_connections(shop: Shop) -> int:
    """Return how many connections to the shop's database are open, but for the one that asks."""
    if shop.database.vendor == "postgresql":
        query = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
    else:
        query = "SELECT COUNT(*) FROM information_schema.processlist WHERE db = database()"
    return int(shop.database.query(query)[0][0]) - 1


@pytest.mark.parametrize("relaying", ["web", "command"])
def test_fault_62_database_that_restarts_under_the_relay(shop: Shop, relaying: str) -> None:
    is_web = relaying == "web"
    with make_outage(shop.database) as outage:
        settings: dict[str, Any] = {
            "DATABASES": {"default": outage.entry},
            "TOPSORT_OUTBOX_SWEEP_INTERVAL": 0.2,
        }
        relay = None if is_web else shop.start_relay(**settings)
        with shop.serve("gunicorn-gthread", TOPSORT_OUTBOX_RELAY=is_web, **settings) as site:

            def read_log() -> str:
                return site.read_log() if relay is None else relay.log.read_text()

            assert site.get("/buy/?number=before").status == 200
            shop.api.wait_for(1, "purchases", timeout=SECONDS)
            wait_until(lambda: shop.database.count("delivered") == 1)
            outage.begin()
            wait_until(lambda: "outbox" in read_log())
            outage.end()
            assert site.get("/buy/?number=after").status == 200
            shop.api.wait_for(2, "purchases", timeout=SECONDS)
            wait_until(lambda: shop.database.count("delivered") == 2)

    assert shop.get_received() == ["after", "before"]
    assert shop.api.repeated == []


@pytest.mark.parametrize("is_long", [False, True])
def test_fault_62_database_that_restarts_while_topsort_is_asked(shop: Shop, is_long: bool) -> None:
    shop.run("store('p', 60)")
    with make_outage(shop.database) as outage, shop.api.hang(times=1) as fault:
        relay = shop.start_relay(
            DATABASES={"default": outage.entry}, TOPSORT_OUTBOX_LEASE=8, TOPSORT_TIMEOUT=[3, 60]
        )
        fault.wait_for_hit(timeout=SECONDS)
        outage.begin()
        if not is_long:
            outage.end()
        fault.release()
        if is_long:
            wait_until(lambda: "outbox" in relay.log.read_text())
            outage.end()
        wait_until(lambda: shop.database.count("delivered") == 60)
        relay.send(signal.SIGTERM)
        assert relay.wait().code == 0

    # What was noted at the second go was not sent again; what could not be noted at all was.
    assert len(shop.api.repeated) == (50 if is_long else 0)
    assert shop.api.altered == []
    assert len(shop.api.purchases) == 60


def test_fault_62_relay_that_is_asked_to_end_while_the_database_is_away(shop: Shop) -> None:
    with make_outage(shop.database) as outage:
        outage.begin()
        relay = shop.start_relay(DATABASES={"default": outage.entry})
        relay.wait_until(lambda: "trying again" in relay.log.read_text())
        relay.send(signal.SIGTERM)
        ended = relay.wait()
        outage.end()

    assert ended.code == 0, ended.log
    assert "Traceback" not in ended.log


def test_fault_58_order_that_two_processes_report_at_once(shop: Shop) -> None:
    """Two messages of a bank. The second is as good as the first, whose process lives on."""
    if shop.database.vendor == "sqlite":
        pytest.skip("there is one writer at a time")
    shop.run("place_order('1')")
    report = """
        with transaction.atomic():
            order = Order.objects.get(number="1")
            order_paid.send(sender=Order, order=order, opaque_user_id="shopper-1")
            {}
    """
    first = shop.start(report.format("tell(); input()"))
    output, words = first.process.stdout, first.process.stdin
    assert output is not None
    assert words is not None
    assert output.readline() + output.readline() == "\n{}\n"
    # It waits for no lock of the first, whose transaction is still open.
    ended = shop.start(report.format("transaction.on_commit(die, robust=True)")).wait()
    assert ended.code == -signal.SIGKILL
    assert "not announced" not in ended.log
    words.write("go on\n")
    words.flush()

    assert first.wait().code == 0
    shop.database.make_due()
    shop.relay()
    assert shop.get_received() == ["1"]
