"""When requests pause, for how long, and who asks first."""

from __future__ import annotations

import pytest

from django_topsort.exceptions import (
    ApiError,
    AuthenticationFailed,
    NoAnswer,
    RateLimited,
    ServerUnavailable,
)
from django_topsort.sending.circuit import (
    CONFIGURATION_PAUSE,
    FAILURES_TO_OPEN,
    LONGEST_PAUSE,
    LONGEST_RETRY_AFTER,
    SHORTEST_PAUSE,
    Circuit,
    get_backoff,
)


def build_circuit(jitter: float = 1.0) -> Circuit:
    return Circuit(rand=lambda: jitter)


def fail(circuit: Circuit, times: int, now: float = 0.0, error: ApiError | None = None) -> None:
    for _ in range(times):
        circuit.fail(error or NoAnswer(), now)


def test_circuit_lets_all_through_at_first() -> None:
    circuit = build_circuit()

    assert circuit.get_delay(0.0) == 0.0
    assert not circuit.start()
    assert circuit.get_delay(0.0) == 0.0


def test_circuit_opens_after_failures_in_a_row() -> None:
    circuit = build_circuit()
    fail(circuit, FAILURES_TO_OPEN - 1)
    assert circuit.get_delay(0.0) == 0.0

    fail(circuit, 1)
    assert circuit.is_open
    assert circuit.get_delay(1.0) == SHORTEST_PAUSE - 1.0
    assert circuit.get_delay(100.0) == 0.0


def test_success_in_between_starts_the_count_anew() -> None:
    circuit = build_circuit()
    fail(circuit, FAILURES_TO_OPEN - 1)
    circuit.succeed()
    fail(circuit, FAILURES_TO_OPEN - 1)

    assert not circuit.is_open


@pytest.mark.parametrize(
    ("jitter", "pause"), [(0.0, SHORTEST_PAUSE / 2), (0.5, SHORTEST_PAUSE * 0.75)]
)
def test_pause_is_jittered(jitter: float, pause: float) -> None:
    circuit = build_circuit(jitter)
    fail(circuit, FAILURES_TO_OPEN)

    assert circuit.get_delay(0.0) == pause


@pytest.mark.parametrize(("outage", "pause"), [(30.0, 3.0), (100.0, 10.0), (3600.0, LONGEST_PAUSE)])
def test_pause_grows_with_the_outage(outage: float, pause: float) -> None:
    circuit = build_circuit()
    fail(circuit, FAILURES_TO_OPEN)
    assert circuit.start()
    circuit.fail(NoAnswer(), outage, is_probe=True)

    assert circuit.get_delay(outage) == pytest.approx(pause)


def test_probe_goes_out_alone() -> None:
    circuit = build_circuit()
    fail(circuit, FAILURES_TO_OPEN)

    assert circuit.start()
    assert circuit.get_delay(10.0) is None


def test_probe_that_succeeds_closes_the_circuit() -> None:
    circuit = build_circuit()
    fail(circuit, FAILURES_TO_OPEN)
    circuit.start()
    circuit.succeed(is_probe=True)

    assert not circuit.is_open
    assert circuit.get_delay(0.0) == 0.0
    fail(circuit, FAILURES_TO_OPEN - 1)
    assert not circuit.is_open


def test_older_requests_neither_end_the_probe_nor_close_the_circuit() -> None:
    circuit = build_circuit()
    fail(circuit, FAILURES_TO_OPEN)
    circuit.start()
    circuit.fail(NoAnswer(), 5.0)
    assert circuit.get_delay(60.0) is None

    circuit.succeed()
    assert circuit.is_open
    assert circuit.get_delay(60.0) is None


def test_probe_that_tells_nothing_is_followed_by_another() -> None:
    circuit = build_circuit()
    fail(circuit, FAILURES_TO_OPEN)
    circuit.start()
    circuit.give_up(is_probe=False)
    assert circuit.get_delay(60.0) is None

    circuit.give_up(is_probe=True)
    assert circuit.get_delay(60.0) == 0.0


def test_configuration_error_pauses_at_once() -> None:
    circuit = build_circuit(0.0)
    fail(circuit, 1, error=AuthenticationFailed(status=401))

    assert circuit.get_delay(0.0) == CONFIGURATION_PAUSE


@pytest.mark.parametrize("error_class", [RateLimited, ServerUnavailable])
@pytest.mark.parametrize(
    ("retry_after", "pause"),
    [(2.0, 2.0), (3600.0, LONGEST_RETRY_AFTER), (1e9, LONGEST_RETRY_AFTER), (0.0, 0.0)],
)
def test_retry_after_is_a_pause(
    error_class: type[ApiError], retry_after: float, pause: float
) -> None:
    circuit = build_circuit(0.0)
    fail(circuit, 1, error=error_class(status=429, retry_after=retry_after))

    assert circuit.get_delay(0.0) == pause


def test_retry_after_never_shortens_a_pause() -> None:
    circuit = build_circuit()
    fail(circuit, 1, error=AuthenticationFailed(status=401))
    fail(circuit, 1, error=RateLimited(status=429, retry_after=1.0))

    assert circuit.get_delay(0.0) == CONFIGURATION_PAUSE


@pytest.mark.parametrize(
    ("attempts", "longest"), [(0, 0.5), (1, 1.0), (3, 4.0), (5, 16.0), (6, 30.0), (10_000, 30.0)]
)
def test_backoff_is_jittered_up_to_a_limit(attempts: int, longest: float) -> None:
    assert get_backoff(attempts, lambda: 1.0) == longest
    assert get_backoff(attempts, lambda: 0.5) == longest / 2
    assert get_backoff(attempts, lambda: 0.0) == 0.05
