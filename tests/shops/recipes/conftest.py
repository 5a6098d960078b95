from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import stripe
from django.test import Client
from jwt.algorithms import RSAAlgorithm

from tests.shops.recipes.answering import JsonServer, answer_with_json
from tests.shops.recipes.settings import SALEOR_URL
from tests.shops.recipes.walks import SALEOR_KEY, build_session

SHOPPER = "0190d8f2-0000-7000-8000-000000000000"
BROWSER = {"user-agent": "Mozilla/5.0 Firefox/140.0"}


@pytest.fixture
def shopper() -> Client:
    client = Client(headers=BROWSER)
    client.cookies["tsuid"] = SHOPPER
    return client


@pytest.fixture
def bank() -> Client:
    """A client without cookies, as a bank's server is, that gets a 500 where a view raises."""
    return Client(headers={"user-agent": "Bank/1.0"}, raise_request_exception=False)


@pytest.fixture(autouse=True)
def stripe_api(monkeypatch: pytest.MonkeyPatch) -> Iterator[JsonServer]:
    """As much of Stripe's API as dj-stripe asks when an event comes."""
    with answer_with_json() as server:
        server.answers = {
            "/v1/account": {"id": "acct_1", "object": "account", "created": 1, "settings": {}},
            "/v1/checkout/sessions/cs_1": build_session(),
        }
        monkeypatch.setattr(stripe, "api_base", server.url)
        yield server


@pytest.fixture(autouse=True)
def saleor() -> Iterator[JsonServer]:
    """A Saleor that tells its public keys."""
    with answer_with_json(urlsplit(SALEOR_URL).port or 0) as server:
        key: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(SALEOR_KEY.public_key()))
        server.answers = {
            "/.well-known/jwks.json": {"keys": [{**key, "kid": "1", "use": "sig", "alg": "RS256"}]}
        }
        yield server
