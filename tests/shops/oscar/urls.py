from __future__ import annotations

from typing import Any

from django.apps import apps
from django.urls import include, path

from tests.shops.oscar.bank import BankView

oscar: Any = apps.get_app_config("oscar")
urlpatterns = [
    path("bank/", BankView.as_view()),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/", include("oscarapi.urls")),
    path("topsort/", include("django_topsort.urls")),
    path("", include(oscar.urls[0])),
]
