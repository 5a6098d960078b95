"""What the package raises: the tree, the facts that an error carries, and how it is shown."""

from __future__ import annotations

import pickle
import re

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_topsort import exceptions
from django_topsort.exceptions import (
    ApiError,
    AuthenticationFailed,
    EndpointNotFound,
    EverythingRefused,
    InvalidEvent,
    InvalidRequest,
    InvalidToken,
    NoAnswer,
    PayloadTooLarge,
    RateLimited,
    RedirectRefused,
    ServerUnavailable,
    TlsFailed,
    TopsortConfigurationError,
    TopsortError,
    UnexpectedAnswer,
    describe,
)

REMEDIES: dict[type[ApiError], str] = {
    InvalidRequest: "isolate",
    PayloadTooLarge: "isolate",
    AuthenticationFailed: "configuration",
    EndpointNotFound: "configuration",
    EverythingRefused: "configuration",
    RedirectRefused: "configuration",
    TlsFailed: "configuration",
    RateLimited: "retryable",
    ServerUnavailable: "retryable",
    UnexpectedAnswer: "retryable",
    NoAnswer: "retryable",
}


class Silent:
    def __repr__(self) -> str:
        raise LookupError("the database is away")


def test_every_api_error_says_what_can_help() -> None:
    assert set(ApiError.__subclasses__()) == set(REMEDIES)
    for error_class, remedy in REMEDIES.items():
        flags = {
            name: getattr(error_class, name) for name in ("retryable", "isolate", "configuration")
        }
        assert flags == {**dict.fromkeys(flags, False), remedy: True}, error_class


def test_tree_of_the_module_is_the_tree_that_it_draws() -> None:
    drawn = re.findall(r"^ +[│├└─ ]*([A-Z]\w+)", str(exceptions.__doc__), re.MULTILINE)
    defined = [
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and value.__module__ == exceptions.__name__
    ]

    assert sorted(drawn) == sorted(defined)


def test_configuration_error_stands_outside_the_tree() -> None:
    assert issubclass(TopsortConfigurationError, ImproperlyConfigured)
    assert not issubclass(TopsortConfigurationError, TopsortError)


def test_invalid_event_names_field_value_and_rule() -> None:
    error = InvalidEvent("placement.position", 0, "it must be 1 or more")

    assert str(error) == "placement.position: 0 is not allowed, it must be 1 or more"
    assert (error.field, error.value, error.rule) == (
        "placement.position",
        0,
        "it must be 1 or more",
    )
    assert isinstance(error, ValueError)
    assert isinstance(error, TopsortError)


@pytest.mark.parametrize("reason", ["tampered", "expired"])
def test_invalid_token_says_why(reason: str) -> None:
    error = InvalidToken(reason)

    assert error.reason == reason
    assert str(error) == reason


def test_api_error_keeps_what_the_answer_said() -> None:
    error = InvalidRequest(
        "no such bid", status=422, err_code="resolved_bid_id_not_found", doc_url="https://docs"
    )

    assert str(error) == "status=422 errCode=resolved_bid_id_not_found no such bid"
    assert error.doc_url == "https://docs"
    assert error.retry_after is None


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ApiError(), "no answer"),
        (NoAnswer("ReadTimeout"), "no answer ReadTimeout"),
        (ServerUnavailable(status=503, retry_after=2.0), "status=503"),
        (RateLimited("slow down", status=429), "status=429 slow down"),
    ],
)
def test_api_error_says_only_what_it_knows(error: ApiError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("may_be_stale", [False, True])
def test_no_answer_says_whether_the_connection_was_old(may_be_stale: bool) -> None:
    error = NoAnswer("ConnectionError", may_be_stale=may_be_stale)

    assert error.may_be_stale is may_be_stale
    assert error.status is None


@pytest.mark.parametrize(
    "error",
    [
        InvalidEvent("id", "", "it must be text"),
        InvalidToken("expired"),
        RateLimited("slow down", status=429, err_code="rate_limited", retry_after=1.5),
        NoAnswer("ConnectionError", may_be_stale=True),
        TopsortConfigurationError("TOPSORT_API_KEY is empty"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_survives_the_way_to_another_process(error: Exception) -> None:
    there = pickle.loads(pickle.dumps(error))

    assert type(there) is type(error)
    assert vars(there) == vars(error)
    assert str(there) == str(error)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "'a'"),
        (None, "None"),
        ("x" * 78, f"'{'x' * 78}'"),
        ("x" * 79, f"'{'x' * 76}..."),
        (Silent(), "<Silent>"),
    ],
    ids=["text", "none", "fits", "too-long", "silent"],
)
def test_description_is_short_and_never_fails(value: object, text: str) -> None:
    assert describe(value) == text
    assert len(describe(value)) <= 80


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidRequest(status=400), "Topsort refused what was sent."),
        (PayloadTooLarge(status=413), "The request is too large for api.example:8443,"),
        (AuthenticationFailed(status=401), "Topsort does not accept the key in TOPSORT_API_KEY"),
        (EndpointNotFound(status=404), "There is no Events API at https://api.example:8443/e."),
        (RedirectRefused(status=301), "https://api.example:8443/e redirects to another address."),
        (TlsFailed(), "No safe connection to api.example:8443:"),
        (RateLimited(status=429), "Topsort takes no more requests for now."),
        (ServerUnavailable(status=503), "Topsort cannot take events at the moment."),
        (UnexpectedAnswer(status=200), "https://api.example:8443/e answered as no Events API"),
        (NoAnswer("ConnectionError"), "The connection to api.example:8443 broke off."),
        (NoAnswer("A < NameResolutionError"), "The name api.example:8443 has no address"),
        (NoAnswer("ConnectTimeout < B"), "within TOPSORT_TIMEOUT = (3, 10) (seconds)"),
        (NoAnswer("ReadTimeout"), "api.example:8443 took the connection, but did not answer"),
        (NoAnswer("A < ConnectionRefusedError"), "api.example:8443 refuses the connection"),
    ],
)
def test_api_error_explains_itself(error: ApiError, said: str) -> None:
    text = error.explain("https://api.example:8443/e", (3, 10))

    assert said in text
    assert "\n" not in text
    assert "{" not in text


def test_every_api_error_has_an_explanation_of_its_own() -> None:
    texts = {error_class.explanation for error_class in REMEDIES}

    assert len(texts | {ApiError.explanation}) == len(REMEDIES) + 1
