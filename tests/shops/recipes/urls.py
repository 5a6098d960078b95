from __future__ import annotations

from django.urls import include, path
from django.utils.module_loading import import_string

from tests.shops.recipes import views

urlpatterns = [
    path("checkout/", views.checkout),
    path("payments/", include("payments.urls")),
    path("stripe/", include("djstripe.urls", namespace="djstripe")),
    path(
        "plans/order/extend/new/<int:pk>/",
        import_string("shop.plans.OrderPlan").as_view(),
        name="create_order_plan",
    ),
    path("plans/", include("plans.urls")),
    path("lfs/checkout/", views.submit_to_lfs),
    path("lfs/manage/paid/", views.mark_lfs_order_paid),
    path("cartridge/checkout/", views.finish_cartridge_checkout),
    path("saleor/", import_string("shop.saleor.order_fully_paid")),
]
