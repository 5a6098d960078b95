"""The shop's own tests, which also show how a shop tests what it reports to Topsort."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import TestCase, override_settings
from django.urls import reverse
from django_topsort.events import Entity
from django_topsort.testing import CapturedEvents, capture_events

from shop.auctions import run_auction
from shop.models import Order, Product
from walkthrough.browser import Page
from walkthrough.script import Script

ADDRESS = {
    "name": "Robin Guest",
    "email": "robin@example.org",
    "street": "Pier Road 7",
    "postcode": "1204",
    "city": "Harbourtown",
}


# Only what `capture_events` catches is of interest here; nothing else is sent anywhere.
@override_settings(TOPSORT_BACKENDS={"default": "django_topsort.backends.dummy.EventBackend"})
class ShopTests(TestCase):
    mug: Product
    honey: Product

    @classmethod
    def setUpTestData(cls) -> None:
        call_command("seed", verbosity=0)
        cls.mug = Product.objects.get(slug="stoneware-mug")
        cls.honey = Product.objects.get(slug="heather-honey")

    def setUp(self) -> None:
        self.script = Script()

    def put_into_basket(self, product: Product, quantity: int) -> None:
        data = {"product": product.pk, "quantity": quantity}
        self.client.post(reverse("shop:basket-add"), data)

    def order(self) -> Order:
        self.client.post(reverse("shop:checkout"), ADDRESS)
        return Order.objects.get()

    def pay(self, order: Order) -> None:
        self.client.post(reverse("shop:pay", args=[order.number]))

    def see(self, url: str) -> Page:
        """Open a page, and tell the shop what a browser would that has shown all of it."""
        response = self.client.get(url)
        page = Page(f"http://testserver{url}", response.content.decode())
        told = self.script.build_request(page.url, page.script, page.shown)
        answer = self.client.post(
            urlsplit(told.url).path,
            told.body,
            content_type=told.headers.pop("Content-Type"),
            headers=told.headers,
        )
        self.assertEqual(answer.status_code, 204)
        return page

    def test_seed_twice_leaves_the_same_products(self) -> None:
        before = list(Product.objects.values())
        call_command("seed", verbosity=0)

        self.assertEqual(list(Product.objects.values()), before)
        self.assertEqual(len(before), 24)

    @capture_events()
    def test_listing_reports_every_product_and_the_bids_of_the_sponsored(
        self, events: CapturedEvents
    ) -> None:
        self.see(reverse("shop:category", args=["pantry"]))

        first, *_, last = events.impressions
        self.assertEqual(len(events.impressions), 6)
        self.assertTrue(first.resolved_bid_id)
        self.assertIsNone(last.resolved_bid_id)
        assert first.placement is not None
        self.assertEqual(first.placement.position, 1)
        self.assertEqual(first.placement.category_ids, ("pantry",))
        self.assertEqual([view.page.page_id for view in events.pageviews], ["pantry"])

    @capture_events()
    def test_search_reports_the_query(self, events: CapturedEvents) -> None:
        self.see(reverse("shop:search") + "?q=+Honey+")

        self.assertTrue(events.impressions)
        self.assertEqual([view.page.value for view in events.pageviews], ["Honey"])
        for impression in events.impressions:
            assert impression.placement is not None
            self.assertEqual(impression.placement.search_query, "Honey")

    def test_search_without_a_match_says_so(self) -> None:
        response = self.client.get(reverse("shop:search"), {"q": "gold"})

        self.assertContains(response, "0 results for “gold”")

    @capture_events()
    def test_click_on_a_sponsored_product_is_reported_with_its_bid(
        self, events: CapturedEvents
    ) -> None:
        page = self.see(reverse("shop:category", args=["pantry"]))
        response = self.client.get(page.get_link("Sponsored").attributes["href"])

        self.assertRedirects(response, self.honey.get_absolute_url(), fetch_redirect_response=False)
        bids = [event.resolved_bid_id for event in (*events.impressions[:1], *events.clicks)]
        self.assertEqual(bids[0], bids[1])

    @capture_events()
    def test_banner_counts_where_it_leads(self, events: CapturedEvents) -> None:
        page = self.see(reverse("shop:home"))
        banner = page.get_link("Sponsored by")
        self.script.note_click(banner.attributes)
        response = self.client.get(banner.attributes["href"])
        self.see(response.headers["Location"])
        self.see(response.headers["Location"])

        on_banner, landing = events.clicks
        self.assertEqual(on_banner.resolved_bid_id, landing.resolved_bid_id)
        self.assertEqual(landing.additional_attribution, Entity(id="bird-house", type="product"))

    def test_pages_have_a_strict_policy_and_the_products_their_attributes(self) -> None:
        response = self.client.get(reverse("shop:category", args=["pantry"]))

        self.assertIn("default-src 'self'", response.headers["Content-Security-Policy"])
        self.assertContains(response, "Sponsored", count=2)
        self.assertContains(response, "data-ts-product='heather-honey'")
        self.assertContains(response, "<script", count=1)

    def test_auction_picks_candidates_only(self) -> None:
        winners = run_auction(Product.objects.filter(category__slug="kitchen"), 1)

        self.assertEqual([winner.product for winner in winners], [self.mug])

    def test_basket_adds_up_and_zero_takes_out(self) -> None:
        self.put_into_basket(self.mug, 1)
        self.put_into_basket(self.mug, 1)
        self.put_into_basket(self.honey, 1)
        self.assertContains(self.client.get(reverse("shop:basket")), "€45.80")

        data = {"product": self.mug.pk, "quantity": 0}
        response = self.client.post(reverse("shop:basket-set"), data, follow=True)
        self.assertContains(response, "€9.80")
        self.assertNotContains(response, "Stoneware Mug")

    @override_settings(TOPSORT_STRICT=True)
    @capture_events()
    def test_empty_basket_is_a_page_too(self, events: CapturedEvents) -> None:
        self.assertContains(self.client.get(reverse("shop:basket")), "It is empty")
        self.see(reverse("shop:basket"))

        self.assertEqual([view.page.type for view in events.pageviews], ["cart"])

    def test_basket_refuses_an_impossible_quantity(self) -> None:
        data = {"product": self.mug.pk, "quantity": -1}
        response = self.client.post(reverse("shop:basket-add"), data, follow=True)

        self.assertContains(response, "choose a quantity between 0 and 20")

    def test_checkout_with_an_empty_basket_leads_back(self) -> None:
        self.assertRedirects(self.client.get(reverse("shop:checkout")), reverse("shop:basket"))

    def test_checkout_without_an_address_orders_nothing(self) -> None:
        self.put_into_basket(self.mug, 1)
        response = self.client.post(reverse("shop:checkout"), {})

        self.assertContains(response, "This field is required", count=5)
        self.assertFalse(Order.objects.exists())

    @capture_events()
    def test_purchase_is_reported_when_it_is_paid(self, events: CapturedEvents) -> None:
        self.client.get(reverse("shop:home"))
        self.put_into_basket(self.mug, 2)
        self.put_into_basket(self.honey, 1)
        order = self.order()
        self.assertFalse(events.purchases)

        self.pay(order)
        self.pay(order)
        [purchase] = events.purchases
        self.assertEqual(purchase.opaque_user_id, self.client.cookies["tsuid"].value)
        items = {item.product_id: (item.quantity, item.unit_price) for item in purchase.items}
        self.assertEqual(
            items,
            {"stoneware-mug": (2, Decimal("18.00")), "heather-honey": (1, Decimal("9.80"))},
        )
        response = self.client.get(reverse("shop:thanks", args=[order.number]))
        self.assertContains(response, "Thank you, Robin Guest!")
        self.assertContains(response, "€45.80")

    def test_thanks_before_the_payment_asks_for_it(self) -> None:
        self.put_into_basket(self.mug, 1)
        order = self.order()
        response = self.client.get(reverse("shop:thanks", args=[order.number]))

        self.assertRedirects(response, reverse("shop:pay", args=[order.number]))

    def test_order_of_somebody_else_does_not_exist(self) -> None:
        self.put_into_basket(self.mug, 1)
        order = self.order()
        self.client.cookies.clear()

        response = self.client.get(reverse("shop:pay", args=[order.number]))
        self.assertEqual(response.status_code, 404)

    def test_customer_finds_name_and_email_filled_in(self) -> None:
        self.assertTrue(self.client.login(username="ada", password="harbour-lane"))
        self.put_into_basket(self.mug, 1)
        response = self.client.get(reverse("shop:checkout"))
        self.assertContains(response, 'value="Ada Fairweather"')
        self.assertContains(response, 'value="ada@example.org"')

        self.assertEqual(self.order().user, User.objects.get(username="ada"))
