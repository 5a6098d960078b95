from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from django_topsort.tracking import track_impression
from tests.shops.salesman.models import Product


def list_products(request: HttpRequest) -> HttpResponse:
    for product in Product.objects.all():
        track_impression(request, product)
    return HttpResponse("These are our products.")


urlpatterns = [
    path("", list_products),
    path("api/", include("salesman.urls")),
    path("admin/", admin.site.urls),
]
