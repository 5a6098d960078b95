"""What every page of the shop shows: the departments and the basket."""

from __future__ import annotations

from django.http import HttpRequest

from shop.basket import Basket
from shop.models import Category


def shop(request: HttpRequest) -> dict[str, object]:
    return {"categories": Category.objects.all(), "basket": Basket(request.session)}
