"""The URLs of the shop."""

from __future__ import annotations

from django.urls import path

from shop import views

app_name = "shop"
urlpatterns = [
    path("", views.home, name="home"),
    path("category/<slug:slug>/", views.category, name="category"),
    path("search/", views.search, name="search"),
    path("product/<slug:slug>/", views.product, name="product"),
    path("basket/", views.basket, name="basket"),
    path("basket/add/", views.change_basket, {"action": "add"}, name="basket-add"),
    path("basket/set/", views.change_basket, {"action": "set"}, name="basket-set"),
    path("checkout/", views.checkout, name="checkout"),
    path("order/<str:number>/pay/", views.pay, name="pay"),
    path("order/<str:number>/thanks/", views.thanks, name="thanks"),
]
