"""What shoppers do in a shop of Oscar: they walk through its own pages."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from oscar.core.loading import get_model
from oscar.test import factories


class Catalogue:
    """A shop's products, all in one category."""

    def __init__(self) -> None:
        call_command("clear_index", interactive=False, verbosity=0)
        self.country = factories.CountryFactory(iso_3166_1_a2="GB", is_shipping_country=True)
        self.category = get_model("catalogue", "Category").add_root(name="Kitchen")
        self.kinds = {
            is_sent: factories.ProductClassFactory(
                name=f"sent: {is_sent}", requires_shipping=is_sent, track_stock=False
            )
            for is_sent in (True, False)
        }

    def add(
        self,
        title: str,
        price: str | None = "10.00",
        *,
        is_sent: bool = True,
        parent: Any = None,
        is_parent: bool = False,
        partner: str = "Ms Miller",
    ) -> Any:
        """Add a product; ``parent``: it is a variant of that one."""
        product = get_model("catalogue", "Product")(
            title=title,
            product_class=None if parent else self.kinds[is_sent],
            parent=parent,
            structure="child" if parent else "parent" if is_parent else "standalone",
            upc=f"upc-{title}",
        )
        product.save()
        if parent is None:
            product.categories.add(self.category)
        if not is_parent:
            factories.create_stockrecord(
                product, Decimal(price or 0), partner_sku=f"sku-{title}", partner_name=partner
            )
        product.save()  # now that it has its category, it can be found
        return product


class Shopper:
    """Somebody with a browser."""

    def __init__(self, client: Client, catalogue: Catalogue) -> None:
        self.client = client
        self.catalogue = catalogue

    @property
    def cookie(self) -> str:
        """The opaque id that the shop's pages gave."""
        return str(self.client.cookies["tsuid"].value)

    def log_in(self, **roles: bool) -> Any:
        user = factories.UserFactory(email="shopper@example.com", username="shopper", **roles)
        self.client.force_login(user)
        return user

    def look_at(self, product: Any) -> None:
        assert self.client.get(product.get_absolute_url()).status_code == 200

    def put_into_basket(self, product: Any, quantity: int = 1) -> None:
        """Look at the product, and put it into the basket as the form of its page does."""
        self.look_at(product)
        url = reverse("basket:add", kwargs={"pk": product.parent_id or product.pk})
        data = {"quantity": quantity}
        if product.parent_id:
            url = reverse("basket:add", kwargs={"pk": product.pk})
        response = self.client.post(url, data)
        assert response.status_code == 302
        assert get_model("basket", "Line").objects.filter(product=product).exists()

    def go_to_checkout(self) -> None:
        """Give the mail address, and the address to which the goods are sent, if they are."""
        if "_auth_user_id" not in self.client.session:
            data = {"username": "guest@example.com", "options": "anonymous"}
            response = self.client.post(reverse("checkout:index"), data)
            assert response.status_code == 302, response.context["form"].errors
        self.client.get(reverse("checkout:shipping-address"))
        address = {
            "first_name": "Ada",
            "last_name": "Miller",
            "line1": "1 Egg Road",
            "line4": "London",
            "postcode": "N1 9RT",
            "country": self.catalogue.country.pk,
        }
        self.client.post(reverse("checkout:shipping-address"), address)
        self.client.get(reverse("checkout:shipping-method"), follow=True)
        assert self.client.get(reverse("checkout:payment-details")).status_code == 200
        assert self.client.post(reverse("checkout:preview"), {}).status_code == 200

    def place_order(self, **data: str) -> Any:
        """Press the last button; return the response."""
        data = {"action": "place_order", **data}
        return self.client.post(reverse("checkout:preview"), data)

    def buy(self, product: Any, quantity: int = 1) -> Any:
        """Walk all the way, and return the order."""
        self.put_into_basket(product, quantity)
        self.go_to_checkout()
        response = self.place_order()
        assert response.status_code == 302, response.context.get("error")
        assert self.client.get(reverse("checkout:thank-you")).status_code == 200
        return get_order()

    def pay_at_bank(self, product: Any) -> str:
        """Walk to the bank, and return the order's number: there is no order yet."""
        self.put_into_basket(product)
        self.go_to_checkout()
        response = self.place_order(pay_with="bank")
        assert response.status_code == 302
        return str(response.url.rpartition("/")[2])


def get_order() -> Any:
    """Return the only order that there is."""
    return get_model("order", "Order").objects.get()
