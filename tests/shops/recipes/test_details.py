"""What is particular in one shop."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth.models import User
from django.test import Client
from django.utils.module_loading import import_string
from djstripe.models import Event, Session
from payments import PaymentStatus
from plans.models import Order as PlanOrder

from django_topsort.delivery import flush
from django_topsort.testing import FakeApi
from tests.shops.recipes.answering import JsonServer
from tests.shops.recipes.conftest import SHOPPER
from tests.shops.recipes.models import Order, Payment
from tests.shops.recipes.walks import DjangoPlans, DjStripe, Lfs, Saleor

pytestmark = pytest.mark.django_db(transaction=True, reset_sequences=True)


# --- django-payments ---


def test_payment_form_that_saves_the_captured_amount_later_is_reported(
    topsort_api: FakeApi, shopper: Client
) -> None:
    shopper.post("/checkout/")
    payment = Payment.objects.create(order=Order.objects.get(), variant="default", total="64.85")
    payment.change_status(PaymentStatus.PREAUTH)
    payment.capture()

    assert [event["id"] for event in topsort_api.wait_for(1, "purchases")] == ["1001"]


def test_refund_is_no_purchase(topsort_api: FakeApi, shopper: Client) -> None:
    shopper.post("/checkout/")
    payment = Payment.objects.create(order=Order.objects.get(), variant="default", total="64.85")
    payment.change_status(PaymentStatus.REFUNDED)

    assert flush(5)
    assert topsort_api.purchases == []


# --- dj-stripe ---


def test_session_that_is_paid_days_later_is_reported_then(
    topsort_api: FakeApi, shopper: Client, bank: Client
) -> None:
    walk = DjStripe()
    walk.order(shopper)
    walk.fail(bank)
    assert flush(5)
    assert topsort_api.purchases == []

    assert walk.send(bank, "async_payment_succeeded").status_code == 200
    topsort_api.wait_for(1, "purchases")
    assert Session.objects.count() == 1  # dj-stripe's own handlers ran as well


def test_session_without_an_order_of_ours_does_not_make_stripe_try_again(
    topsort_api: FakeApi, bank: Client, drops: list[Any]
) -> None:
    response = DjStripe().send(bank, "completed", client_reference_id=None)

    assert response.status_code == 200
    assert Event.objects.count() == 1
    assert drops == []


def test_event_of_which_a_handler_fails_is_reported_when_stripe_tries_again(
    topsort_api: FakeApi, shopper: Client, bank: Client, stripe_api: JsonServer
) -> None:
    walk = DjStripe()
    walk.order(shopper)
    session = stripe_api.answers.pop("/v1/checkout/sessions/cs_1")
    assert walk.send(bank, "completed").status_code == 500
    assert flush(5)
    assert topsort_api.purchases == []  # rolled back, with the event

    stripe_api.answers["/v1/checkout/sessions/cs_1"] = session
    assert walk.send(bank, "completed").status_code == 200
    topsort_api.wait_for(1, "purchases")


# --- django-plans ---


def test_plan_that_could_not_be_extended_is_no_purchase(
    topsort_api: FakeApi, shopper: Client
) -> None:
    signal = import_string("plans.signals.order_completed")
    walk = DjangoPlans()
    walk.order(shopper)
    order = PlanOrder.objects.get()
    order.status = PlanOrder.STATUS.NOT_VALID
    signal.send(order)

    assert flush(5)
    assert topsort_api.purchases == []


# --- LFS ---


def test_order_that_a_payment_module_has_taken_is_paid_when_it_is_submitted(
    topsort_api: FakeApi, shopper: Client
) -> None:
    shopper.post("/lfs/checkout/?state=1")

    (purchase,) = topsort_api.wait_for(1, "purchases")
    assert purchase["opaqueUserId"] == SHOPPER


def test_click_of_a_clerk_is_not_the_clerks_purchase(topsort_api: FakeApi, shopper: Client) -> None:
    Lfs().order(shopper)
    clerk = Client()
    clerk.cookies["tsuid"] = "0190d8f2-0000-7000-8000-00000000c1e4"
    clerk.force_login(User.objects.create_user("clerk", is_staff=True))
    clerk.post("/lfs/manage/paid/")

    (purchase,) = topsort_api.wait_for(1, "purchases")
    assert purchase["opaqueUserId"] == SHOPPER


# --- Saleor ---


@pytest.mark.parametrize("signature", ["", "a.b.c", "no", "eyJhbGciOiJub25lIn0.."])
def test_saleor_whose_signature_is_none_is_refused(
    topsort_api: FakeApi, bank: Client, signature: str
) -> None:
    headers = {"Saleor-Signature": signature}
    response = bank.post("/saleor/", b"{}", content_type="application/json", headers=headers)

    assert response.status_code == 401


def test_saleor_of_somebody_else_is_refused(
    topsort_api: FakeApi, shopper: Client, bank: Client
) -> None:
    walk = Saleor()
    walk.order(shopper)
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    assert walk.send(bank, stranger).status_code == 401
    assert flush(5)
    assert topsort_api.purchases == []


def test_saleor_whose_keys_cannot_be_had_is_asked_to_try_again(
    topsort_api: FakeApi, shopper: Client, bank: Client, saleor: JsonServer
) -> None:
    keys = import_string("shop.saleor.KEYS")
    keys.jwk_set_cache.jwk_set_with_timestamp = None  # as after five minutes
    answers, saleor.answers = saleor.answers, {}
    walk = Saleor()
    walk.order(shopper)
    assert walk.pay(bank).status_code == 503

    saleor.answers = answers
    assert walk.pay(bank).status_code == 200
    topsort_api.wait_for(1, "purchases")


@pytest.mark.parametrize("origin", ["REISSUE", "DRAFT", "BULK_CREATE"])
def test_order_of_saleors_staff_is_no_purchase(
    topsort_api: FakeApi, shopper: Client, bank: Client, origin: str
) -> None:
    walk = Saleor()
    walk.order(shopper)

    assert walk.send(bank, origin=origin).status_code == 200
    assert flush(5)
    assert topsort_api.purchases == []
