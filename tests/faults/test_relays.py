"""Relays that share a table, die, sleep or come back late: faults 63 to 67, 71 and 94."""

from __future__ import annotations

import json
import signal
from datetime import timedelta

import pytest

from tests.faults.shops import SECONDS, Shop, wait_until

pytestmark = pytest.mark.faults
pytest_plugins = ["tests.faults.market.fixtures"]

ROWS = 3000


@pytest.mark.parametrize("relays", [2, 5])
def test_fault_63_relays_at_once(shop: Shop, relays: int) -> None:
    shop.run(f"store('p', {ROWS}); store('c', {ROWS // 10}, 'clicks')")

    running = [shop.start_relay("--once") for _ in range(relays)]
    ended = [relay.wait() for relay in running]

    assert {relay.code for relay in ended} <= {0, 1}, "".join(relay.log for relay in ended)
    shop.relay()
    clicks, purchases = shop.api.clicks, shop.api.purchases
    assert sorted(event["id"] for event in purchases) == name_all("p", ROWS)
    assert sorted(event["id"] for event in clicks) == name_all("c", ROWS // 10)
    assert shop.api.repeated == []
    assert shop.database.count("delivered") == ROWS + ROWS // 10


def name_all(prefix: str, count: int) -> list[str]:
    return sorted(f"{prefix}-{number}" for number in range(count))


def test_fault_63_relays_of_web_processes_and_commands(shop: Shop) -> None:
    """While orders come in, so that relays look for the same new rows."""
    settings = {"TOPSORT_OUTBOX_RELAY": True, "TOPSORT_OUTBOX_SWEEP_INTERVAL": 0.1}
    commands = [shop.start_relay(**settings) for _ in range(2)]
    shops = [
        shop.start(
            f"""
            for number in range(50):
                with transaction.atomic():
                    buy(f"{name}-{{number}}")
            flush(60)
            """,
            **settings,
        )
        for name in ("a", "b", "c")
    ]

    assert [process.wait().code for process in shops] == [0, 0, 0]
    wait_until(lambda: shop.database.count("delivered") == 150)
    for command in commands:
        command.send(signal.SIGTERM)
    assert [command.wait().code for command in commands] == [0, 0]
    assert shop.get_received() == sorted(name_all("a", 50) + name_all("b", 50) + name_all("c", 50))
    assert shop.api.repeated == []


def test_fault_64_relay_that_dies_between_the_answer_and_its_note(shop: Shop) -> None:
    shop.run("store('p', 70)")
    with shop.api.lose_answers(end="hang") as fault:
        relay = shop.start_relay(TOPSORT_OUTBOX_LEASE=6)
        fault.wait_for_hit(timeout=SECONDS)
        # Nobody waits for Topsort with a transaction open, not even one that only reads.
        with shop.database.lock_outbox():
            pass
        relay.kill()

    shop.relay(is_all=False)  # what it has is not free before its lease is over
    assert len(shop.api.purchases) == 70
    wait_until(lambda: shop.start_relay("--once").wait().code == 0)
    assert shop.database.count("delivered") == 70
    assert sorted(event["id"] for event in shop.api.purchases) == name_all("p", 70)
    assert len(shop.api.repeated) == 50
    assert shop.api.altered == []


def test_fault_65_relay_that_wakes_up_after_its_lease(shop: Shop) -> None:
    shop.run("store('p', 1)")
    with shop.api.answer(503, delay=2, times=1) as fault:
        sleeper = shop.start_relay("--once", TOPSORT_OUTBOX_LEASE=4)
        fault.wait_for_hit(timeout=SECONDS)
        sleeper.send(signal.SIGSTOP)
        wait_until(lambda: shop.start_relay("--once").wait().code == 0)
        before = shop.database.query("SELECT status, settled_at, attempts, due_at FROM {}")

        sleeper.send(signal.SIGCONT)

    assert sleeper.wait().code == 0
    assert shop.database.query("SELECT status, settled_at, attempts, due_at FROM {}") == before
    assert before[0][0] == "delivered"
    assert shop.get_received() == ["p-0"]


def test_fault_66_poison_at_the_head(shop: Shop) -> None:
    shop.run(
        """
        store('first', 1)
        store('unreadable', 1)
        OutboxEvent.objects.filter(event_id='unreadable-0').update(payload='{"id": 1}')
        store('p', 120)
        """
    )
    shop.api.poison('"first-0"', err_code="missing_product_id")

    shop.relay()

    rows = shop.database.get_rows()
    assert (rows.pop("first-0"), rows.pop("unreadable-0")) == ("rejected", "dead")
    assert set(rows.values()) == {"delivered"}
    assert shop.get_received() == name_all("p", 120)


def test_fault_67_relay_that_was_stopped_for_three_days(shop: Shop) -> None:
    days = timedelta(days=3)
    shop.run(
        """
        for number in range(3):
            with transaction.atomic():
                buy(f"o-{number}")
        store("p", 60)
        """,
        clock=-days.total_seconds(),
    )
    payloads = [json.loads(text) for (text,) in shop.database.query("SELECT payload FROM {}")]
    age = shop.run(
        """
        from django_topsort.status import get_status
        tell(seconds=get_status()["outbox"]["purchases"]["oldest_seconds"])
        """
    ).facts["seconds"]
    assert age == pytest.approx(days.total_seconds(), abs=SECONDS)

    shop.relay()

    assert shop.get_received() == sorted(name_all("o", 3) + name_all("p", 60))
    recorded = {event["id"]: event["occurredAt"] for event in payloads}
    assert {event["id"]: event["occurredAt"] for event in shop.api.purchases} == recorded


def test_fault_71_table_with_many_rows(shop: Shop) -> None:
    shop.run("store('old', 1)")
    shop.database.multiply_rows(13, "delivered")
    shop.run("store('p', 10); store('q', 1)")
    shop.database.query("UPDATE {} SET due_at = created_at WHERE event_id = 'q-0'")
    shop.database.multiply_rows(1, "pending")
    ended = shop.run(
        """
        from datetime import UTC, datetime
        with connection.cursor() as cursor:
            table = f"TABLE {OutboxEvent._meta.db_table}" if connection.vendor == "mysql" else ""
            cursor.execute(f"ANALYZE {table}")
        now = datetime.now(UTC)
        rows = OutboxEvent.objects
        plans = [
            rows.ready(now, "purchases", "default", "pending")[:50].explain(),
            rows.leased(list(range(9000, 9050)), "a-token").explain(),
        ]
        tell(plans=plans)
        """
    )

    # However many there are: the oldest are at the head of an index, and nothing is sorted.
    ready, leased = ended.facts["plans"]
    assert "topsort_outbox_due" in ready
    assert not any(word in ready.lower() for word in ("sort ", "filesort", "temp b-tree"))
    assert KEYS[shop.database.vendor] in leased


# How a database calls the index of the primary key.
KEYS = {"sqlite": "PRIMARY KEY", "postgresql": "_pkey", "mysql": "PRIMARY"}


def test_fault_71_old_rows_of_all_kinds_of_ends(shop: Shop) -> None:
    shop.run("store('keep', 3); store('p', 1)")
    shop.database.query("UPDATE {} SET status = 'delivered' WHERE event_id = 'p-0'")
    shop.database.query("UPDATE {} SET settled_at = created_at")
    shop.database.query("DELETE FROM {} WHERE event_id = 'keep-1'")
    shop.database.query("UPDATE {} SET status = 'dead' WHERE event_id = 'keep-2'")
    shop.database.multiply_rows(11, "delivered")
    count = len(shop.database.query("SELECT id FROM {}"))

    ended = shop.run(
        """
        seen = []
        def watch(execute, sql, params, many, context):
            if sql.startswith("DELETE"):
                seen.append(len(params))
            return execute(sql, params, many, context)
        with connection.execute_wrapper(watch):
            from django_topsort.outbox.retention import delete_old_rows
            tell(deleted=delete_old_rows("default"), statements=len(seen), largest=max(seen))
        """,
        TOPSORT_OUTBOX_KEEP_DELIVERED=0,
    )

    assert ended.facts["deleted"] == count - 2
    assert ended.facts["largest"] <= 1000
    assert shop.database.get_rows() == {"keep-0": "pending", "keep-2": "dead"}


@pytest.mark.parametrize("ahead", [-120.0, 120.0])
def test_fault_94_hosts_whose_clocks_differ(shop: Shop, ahead: float) -> None:
    if shop.database.vendor == "sqlite":
        pytest.skip("a file is on one host, which has one clock")
    shop.run("store('p', 1)", clock=ahead)
    with shop.api.hang() as fault:
        first = shop.start_relay("--once", TOPSORT_TIMEOUT=[3, 60])
        fault.wait_for_hit(timeout=SECONDS)
        second = shop.start_relay("--once", clock=ahead).wait()

        assert second.code == 1
        assert "sent or put off: 0, waiting: 1" in second.output
        assert len(shop.api.requests) == 1
    assert first.wait().code == 0

    # And the other way round: what a host that is wrong has done, others can take up.
    with shop.api.answer(503, times=1):
        shop.run("store('q', 1)")
        shop.relay(is_all=False)
        wait_until(lambda: shop.start_relay("--once", clock=ahead).wait().code == 0)
    assert shop.get_received() == ["p-0", "q-0"]
    assert shop.api.repeated == []


def test_relay_that_is_asked_to_end_finishes_its_batch(shop: Shop) -> None:
    shop.run("store('p', 120)")
    with shop.api.delay(1) as fault:
        relay = shop.start_relay()
        fault.wait_for_hit(timeout=SECONDS)
        relay.send(signal.SIGTERM)
        ended = relay.wait()

    assert ended.code == 0, ended.log
    assert shop.database.count("delivered") == len(shop.api.purchases) == 50
    assert "sent or put off: 50, waiting: 70" in ended.output
    shop.relay()
    assert shop.get_received() == name_all("p", 120)
    assert shop.api.repeated == []


def test_relay_that_is_asked_to_end_in_the_midst_of_its_wait(shop: Shop) -> None:
    """Python's own event holds a lock there, which the signal's handler wants, too."""
    ended = shop.run(
        """
        import signal, sys, threading

        def interrupt(frame, event, argument):
            code = frame.f_code
            is_ours = code.co_name == "wait" and "topsort_relay" in code.co_filename
            if is_ours or code is threading.Condition.wait.__code__:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)

        sys.settrace(interrupt)
        call_command("topsort_relay")
        """
    )

    assert "sent or put off: 0, waiting: 0" in ended.output
