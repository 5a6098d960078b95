"""The URLs of the example project."""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path

urlpatterns = [
    path("", include("shop.urls")),
    path("admin/", admin.site.urls),  # Topsort: what waits in the outbox, and what can be done
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("topsort/", include("django_topsort.urls")),  # Topsort: the links that count clicks
]
if settings.HAS_TOOLBAR:
    urlpatterns.append(path("__debug__/", include("debug_toolbar.urls")))
