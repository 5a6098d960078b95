"""The backlog by a clock in hand: when to try again, what is given up, how an outage ends."""

from __future__ import annotations

import pytest

from django_topsort.events import Event
from django_topsort.exceptions import (
    ApiError,
    AuthenticationFailed,
    EverythingRefused,
    InvalidRequest,
    NoAnswer,
    RateLimited,
)
from django_topsort.sending.backlog import (
    FEW_REQUESTS,
    MAX_AGE,
    MIN_ATTEMPTS,
    PROBE_SECONDS,
    SLOW_ANSWER,
    TRIES_IN_DOUBT,
    Backlog,
)
from django_topsort.sending.circuit import (
    CONFIGURATION_PAUSE,
    FAILURES_TO_OPEN,
    FIRST_BACKOFF,
    LONGEST_RETRY_AFTER,
    SHORTEST_PAUSE,
)
from django_topsort.sending.posting import Outcome
from django_topsort.sending.queue import Job
from django_topsort.sending.refusals import REFUSALS_TO_STOP
from django_topsort.sending.wiring import SenderOptions
from tests.sending.engine import Clock, build_event, build_events, get_ids

INTERVAL = 0.5


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> Backlog:
    return Backlog(clock, rand=lambda: 1.0)


def put(backlog: Backlog, count: int = 1, prefix: str = "i", size: int = 1000) -> None:
    backlog.put(build_events(count, prefix=prefix), SenderOptions(queue_size=size))


def take(backlog: Backlog, owner: int = 1) -> Job:
    job = backlog.take_job(owner)
    assert job is not None
    return job


def end(backlog: Backlog, job: Job, outcome: Outcome, owner: int = 1) -> list[Event]:
    del backlog.in_flight[owner]
    return backlog.settle(job, outcome)


def fail(backlog: Backlog, error: ApiError | None = None) -> list[Event]:
    """Take a job and let it fail."""
    job = take(backlog)
    return end(
        backlog, job, Outcome(waiting=list(job.batch), error=error or NoAnswer(), requests=1)
    )


def deliver(backlog: Backlog) -> Job:
    job = take(backlog)
    end(backlog, job, Outcome(delivered=list(job.batch), requests=1))
    return job


def open_circuit(backlog: Backlog) -> None:
    for number in range(FAILURES_TO_OPEN):
        put(backlog, prefix=f"failed-{number}")
        backlog.hasten()
        fail(backlog)
    assert backlog.is_paused


def test_backlog_is_empty_until_something_waits(backlog: Backlog) -> None:
    assert [backlog.is_empty, backlog.has_fresh] == [True, False]
    assert backlog.get_delay(INTERVAL) is None
    assert backlog.take_job(1) is None

    put(backlog)
    assert [backlog.is_empty, backlog.has_fresh, len(backlog)] == [False, True, 1]


def test_job_is_in_flight_until_it_is_settled(backlog: Backlog) -> None:
    put(backlog)
    job = take(backlog)
    assert backlog.in_flight == {1: job}
    assert [len(backlog), backlog.is_empty] == [0, False]

    assert end(backlog, job, Outcome(delivered=list(job.batch), requests=1)) == []
    assert backlog.is_empty


def test_shed_events_wait_to_be_reported(backlog: Backlog) -> None:
    put(backlog, 5, size=3)

    assert get_ids(backlog.shed) == ["i-0", "i-1"]
    assert len(backlog) == 3


def test_failed_events_wait_longer_each_time(backlog: Backlog, clock: Clock) -> None:
    put(backlog)
    delays = []
    for _ in range(FAILURES_TO_OPEN - 1):
        assert fail(backlog) == []
        delay = backlog.get_delay(INTERVAL)
        assert delay is not None
        delays.append(delay)
        clock.now += delay

    assert delays == [1.0, 2.0, 4.0, 8.0]


def test_retry_after_holds_for_the_event_and_for_all(backlog: Backlog, clock: Clock) -> None:
    put(backlog)
    fail(backlog, RateLimited(status=429, retry_after=20.0))
    put(backlog, prefix="fresh")
    backlog.hasten()

    assert backlog.get_delay(0.0) == 20.0
    clock.now += 20.0
    assert backlog.get_delay(INTERVAL) == 0.0


def test_retry_after_is_limited(backlog: Backlog) -> None:
    put(backlog)
    fail(backlog, RateLimited(status=429, retry_after=1e9))

    assert backlog.get_delay(INTERVAL) == LONGEST_RETRY_AFTER


def test_request_cut_short_by_its_number_of_parts_is_no_failure(backlog: Backlog) -> None:
    put(backlog, 2)
    for _ in range(2 * FAILURES_TO_OPEN):
        job = take(backlog)
        outcome = Outcome(delivered=[job.batch.impressions[0]], requests=64)
        outcome.waiting += job.batch.impressions[1:]
        end(backlog, job, outcome)
        put(backlog, 2)

    assert not backlog.is_paused


def test_configuration_error_counts_no_attempt(backlog: Backlog, clock: Clock) -> None:
    put(backlog)
    for _ in range(3 * MIN_ATTEMPTS):
        assert fail(backlog, AuthenticationFailed(status=401)) == []
        assert backlog.get_delay(INTERVAL) == CONFIGURATION_PAUSE
        clock.now += CONFIGURATION_PAUSE
    job = take(backlog)

    assert job.attempts == 0
    assert clock.now > 1000.0 + MAX_AGE


def test_events_are_given_up_after_many_attempts_and_a_long_time(
    backlog: Backlog, clock: Clock
) -> None:
    put(backlog)
    started = clock.now
    dropped: list[Event] = []
    attempts = 0
    while not dropped:
        dropped = fail(backlog)
        attempts += 1
        clock.now += backlog.get_delay(INTERVAL) or 0.0

    assert get_ids(dropped) == ["i-0"]
    assert attempts >= MIN_ATTEMPTS
    assert clock.now - started > MAX_AGE
    assert backlog.is_empty


def test_long_outage_alone_ends_no_event(backlog: Backlog, clock: Clock) -> None:
    put(backlog)
    for _ in range(MIN_ATTEMPTS - 1):
        clock.now += 10 * MAX_AGE
        assert fail(backlog) == []

    assert len(backlog) == 1


def test_setting_that_is_wrong_ends_no_event_that_failed_before(
    backlog: Backlog, clock: Clock
) -> None:
    put(backlog)
    for _ in range(MIN_ATTEMPTS - 1):
        assert fail(backlog) == []
        clock.now += MAX_AGE
    assert fail(backlog, AuthenticationFailed(status=401)) == []

    assert len(backlog) == 1


# Refusals of everything


REFUSED = InvalidRequest("a field is missing", status=400, err_code="bad_request")


def refuse(backlog: Backlog) -> Outcome:
    """Take a job, and let each of its events be refused."""
    job = take(backlog)
    outcome = Outcome(rejected=[(event, REFUSED) for event in job.batch], requests=3)
    assert end(backlog, job, outcome) == []
    return outcome


def put_purchases(backlog: Backlog, *ids: str) -> None:
    backlog.put([build_event("purchases", one) for one in ids], SenderOptions())


def get_rejected_ids(outcome: Outcome) -> list[str]:
    return get_ids([event for event, _ in outcome.rejected])


def stop(backlog: Backlog) -> None:
    """Let three batches be refused in full."""
    for number in range(REFUSALS_TO_STOP):
        put(backlog, prefix=f"refused-{number}")
        refuse(backlog)
    assert backlog.is_paused


def test_batches_that_are_refused_in_full_open_the_circuit(backlog: Backlog) -> None:
    for number in range(REFUSALS_TO_STOP - 1):
        put(backlog, prefix=f"{number}")
        outcome = refuse(backlog)
        assert get_rejected_ids(outcome) == [f"{number}-0"]
        assert [outcome.error, backlog.is_paused] == [None, False]
    put(backlog, 3, prefix="last")
    outcome = refuse(backlog)

    assert isinstance(outcome.error, EverythingRefused)
    assert str(outcome.error) == str(REFUSED)
    assert get_ids(outcome.waiting) == ["last-0", "last-1", "last-2"]
    assert [outcome.rejected, backlog.is_paused, len(backlog)] == [[], True, 3]
    assert backlog.get_delay(INTERVAL) == SHORTEST_PAUSE + FIRST_BACKOFF


def test_batch_that_is_taken_in_part_is_proof_that_others_are(backlog: Backlog) -> None:
    for number in range(3 * REFUSALS_TO_STOP):
        put(backlog, 2, prefix=f"{number}")
        job = take(backlog)
        good, bad = job.batch
        outcome = Outcome(delivered=[good], rejected=[(bad, REFUSED)], requests=3)
        end(backlog, job, outcome)
        assert get_rejected_ids(outcome) == [f"{number}-1"]
        put(backlog, prefix=f"alone-{number}")
        assert get_rejected_ids(refuse(backlog)) == [f"alone-{number}-0"]

    assert [backlog.is_paused, len(backlog)] == [False, 0]


def test_probe_that_is_refused_keeps_the_circuit_open(backlog: Backlog, clock: Clock) -> None:
    stop(backlog)
    for _ in range(3):
        delay = backlog.get_delay(INTERVAL)
        assert delay is not None
        clock.now += delay + 1.0
        assert refuse(backlog).rejected == []
        assert backlog.is_paused

    assert len(backlog) == 1


def test_probe_takes_others_before_those_that_were_refused(backlog: Backlog, clock: Clock) -> None:
    stop(backlog)
    put(backlog, prefix="fresh")
    clock.now += SHORTEST_PAUSE
    assert backlog.get_delay(0.0) == 0.0
    assert get_ids(list(deliver(backlog).batch)) == ["fresh-0"]

    assert not backlog.is_paused
    assert backlog.get_delay(INTERVAL) == 0.0


def test_purchases_wait_until_there_is_proof_that_others_are_taken(
    backlog: Backlog, clock: Clock
) -> None:
    put_purchases(backlog, "o-1")
    outcome = refuse(backlog)
    assert [outcome.rejected, outcome.error] == [[], REFUSED]
    clock.now += 10.0
    assert refuse(backlog).rejected == []
    put(backlog)
    clock.now += 1.0
    deliver(backlog)
    clock.now += 10.0

    assert get_rejected_ids(refuse(backlog)) == ["o-1"]
    assert [backlog.is_paused, backlog.is_empty] == [False, True]


def test_answer_to_an_older_request_is_no_proof(backlog: Backlog, clock: Clock) -> None:
    put(backlog)
    older = take(backlog, owner=2)
    clock.now += 1.0
    put_purchases(backlog, "o-1")
    refuse(backlog)
    clock.now += 10.0
    end(backlog, older, Outcome(delivered=list(older.batch), requests=1), owner=2)

    assert refuse(backlog).rejected == []


def test_purchase_that_is_refused_three_times_is_rejected(backlog: Backlog, clock: Clock) -> None:
    put_purchases(backlog, "o-1")
    tries = 0
    while not (outcome := refuse(backlog)).rejected:
        tries += 1
        clock.now += backlog.get_delay(INTERVAL) or 0.0

    assert get_rejected_ids(outcome) == ["o-1"]
    assert tries + 1 == TRIES_IN_DOUBT == 3
    assert [backlog.is_paused, backlog.is_empty] == [False, True]


def test_rest_of_a_batch_that_is_refused_counts_with_it(backlog: Backlog) -> None:
    put(backlog, 50)
    rejected: list[str] = []
    while len(rejected) < 50:
        job = take(backlog)
        some, rest = list(job.batch)[:5], list(job.batch)[5:]
        outcome = Outcome(rejected=[(event, REFUSED) for event in some], waiting=rest, requests=14)
        assert end(backlog, job, outcome) == []
        rejected += get_rejected_ids(outcome)
        backlog.hasten()

    assert rejected == get_ids(build_events(50, prefix="i"))
    assert [backlog.is_paused, backlog.is_empty] == [False, True]


def test_probe_of_a_part_knows_since_when_it_is_refused(backlog: Backlog, clock: Clock) -> None:
    stop(backlog)
    put(backlog, 30)
    clock.now += 10.0
    refuse(backlog)
    put(backlog, prefix="fresh")
    clock.now += SHORTEST_PAUSE
    deliver(backlog)
    while not backlog.is_empty:
        backlog.hasten()
        assert refuse(backlog).waiting == []
    assert not backlog.is_paused


def test_purchases_that_were_refused_are_asked_about_after_the_others(backlog: Backlog) -> None:
    put_purchases(backlog, "o-1", "o-2", "o-3")
    job = take(backlog)
    first, *rest = job.batch
    end(backlog, job, Outcome(rejected=[(first, REFUSED)], waiting=rest, requests=3))
    backlog.hasten()

    assert get_ids(list(take(backlog).batch)) == ["o-2", "o-3", "o-1"]


def test_outage_in_the_midst_of_refusals_says_nothing_of_them(backlog: Backlog) -> None:
    for number in range(REFUSALS_TO_STOP):
        put_purchases(backlog, f"o-{number}")
        job = take(backlog)
        (event,) = job.batch
        error = NoAnswer()
        outcome = Outcome(rejected=[(event, REFUSED)], error=error, requests=3)
        end(backlog, job, outcome)
        assert [outcome.rejected, outcome.error] == [[], error]

    assert not backlog.is_paused


def test_event_that_cannot_be_written_is_rejected_for_it(backlog: Backlog) -> None:
    for number in range(2 * REFUSALS_TO_STOP):
        put_purchases(backlog, f"o-{number}")
        job = take(backlog)
        outcome = Outcome(rejected=[(event, REFUSED) for event in job.batch])
        end(backlog, job, outcome)
        assert get_rejected_ids(outcome) == [f"o-{number}"]

    assert not backlog.is_paused


# An outage


def test_circuit_says_when_to_try_again(backlog: Backlog, clock: Clock) -> None:
    open_circuit(backlog)
    pause = backlog.get_delay(INTERVAL)
    assert pause == pytest.approx(SHORTEST_PAUSE)

    clock.now += SHORTEST_PAUSE
    assert backlog.get_delay(INTERVAL) == 0.0


def test_one_small_request_asks_whether_topsort_is_back(backlog: Backlog, clock: Clock) -> None:
    open_circuit(backlog)
    put(backlog, 50)
    clock.now += 10.0
    for _ in range(FAILURES_TO_OPEN):
        deliver_probe = take(backlog)
        assert deliver_probe.is_probe
        assert len(deliver_probe.batch) <= 10
        assert backlog.get_delay(INTERVAL) == PROBE_SECONDS
        end(
            backlog,
            deliver_probe,
            Outcome(waiting=list(deliver_probe.batch), error=NoAnswer(), requests=1),
        )
        clock.now += 60.0


def test_return_of_topsort_makes_everything_due(backlog: Backlog, clock: Clock) -> None:
    for number in range(FAILURES_TO_OPEN - 1):
        put(backlog, prefix=f"failed-{number}")
        fail(backlog)
    put(backlog, prefix="last")
    fail(backlog)
    clock.now += SHORTEST_PAUSE
    assert deliver(backlog).is_probe

    assert not backlog.is_paused
    assert backlog.get_delay(INTERVAL) == 0.0
    while len(backlog):
        deliver(backlog)
    assert backlog.is_empty


def test_hasten_leaves_the_pause_to_the_circuit(backlog: Backlog) -> None:
    open_circuit(backlog)
    backlog.hasten()

    assert backlog.get_delay(0.0) == pytest.approx(SHORTEST_PAUSE)


def test_hasten_makes_failed_events_due(backlog: Backlog) -> None:
    put(backlog)
    fail(backlog)
    backlog.hasten()

    assert backlog.get_delay(0.0) == 0.0


def test_probe_that_told_nothing_is_followed_by_another(backlog: Backlog, clock: Clock) -> None:
    open_circuit(backlog)
    clock.now += 10.0
    job = take(backlog)
    end(backlog, job, Outcome(waiting=list(job.batch)))

    assert backlog.is_paused
    assert backlog.get_delay(INTERVAL) == 0.0


def test_take_all_returns_what_waits_and_what_is_on_its_way(backlog: Backlog) -> None:
    put(backlog, 120)
    take(backlog, owner=1)
    take(backlog, owner=2)

    assert len(backlog.take_all()) == 120
    assert backlog.is_empty


def test_few_requests_are_out_while_answers_come_at_once(backlog: Backlog) -> None:
    put(backlog, 1000)
    for owner in range(FEW_REQUESTS):
        assert backlog.get_delay(INTERVAL) == 0
        take(backlog, owner)

    assert backlog.get_delay(INTERVAL) == SLOW_ANSWER
    end(backlog, backlog.in_flight[0], Outcome(requests=1), 0)
    assert backlog.get_delay(INTERVAL) == 0


def test_answer_that_does_not_come_lets_all_others_out(backlog: Backlog, clock: Clock) -> None:
    put(backlog, 1000)
    for owner in range(FEW_REQUESTS):
        take(backlog, owner)
        clock.now += SLOW_ANSWER / 2

    for owner in range(FEW_REQUESTS, 10):
        assert backlog.get_delay(INTERVAL) == 0
        take(backlog, owner)


def test_slow_answer_lets_all_others_out_until_one_comes_at_once(
    backlog: Backlog, clock: Clock
) -> None:
    put(backlog, 1000)
    slow = take(backlog, 0)
    clock.now += 3 * SLOW_ANSWER
    end(backlog, slow, Outcome(delivered=list(slow.batch), requests=1), 0)
    for owner in range(10):
        assert backlog.get_delay(INTERVAL) == 0
        take(backlog, owner)

    end(backlog, backlog.in_flight[9], Outcome(requests=1), 9)
    assert backlog.get_delay(INTERVAL) == SLOW_ANSWER
