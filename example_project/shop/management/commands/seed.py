"""Fill the shelves of the example shop, and make a customer and a clerk who can log in."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils.text import slugify

import shop
from shop.models import Category, Product, Vendor

CATALOGUE = Path(shop.__file__).with_name("catalogue.csv")
CLERK = {"first_name": "Grace", "is_staff": True, "is_superuser": True}
CUSTOMER = {"first_name": "Ada", "last_name": "Fairweather", "email": "ada@example.org"}
PASSWORD = "harbour-lane"


class Command(BaseCommand):
    help = "Writes the products and the users of the example shop; can be repeated."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        with CATALOGUE.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            seed_product(**row)
        seed_user("ada", CUSTOMER)
        seed_user("grace", CLERK)
        if options["verbosity"]:
            self.stdout.write(f"seeded {len(rows)} products, the customer ada and the clerk grace")


def seed_product(*, name: str, price: str, vendor: str, category: str, **rest: str) -> None:
    owner, _ = Vendor.objects.get_or_create(slug=slugify(vendor), defaults={"name": vendor})
    shelf, _ = Category.objects.get_or_create(slug=slugify(category), defaults={"name": category})
    values = {"name": name, "price": Decimal(price), "vendor": owner, "category": shelf, **rest}
    Product.objects.update_or_create(slug=slugify(name), defaults=values)


def seed_user(name: str, values: dict[str, Any]) -> None:
    user, _ = User.objects.update_or_create(username=name, defaults=values)
    user.set_password(PASSWORD)
    user.save()
