"""What shoppers fill in."""

from __future__ import annotations

from django import forms

from shop.basket import MAX_QUANTITY
from shop.models import Product


class BasketForm(forms.Form):
    """A product and how many of it; in the basket, zero takes it out."""

    product = forms.ModelChoiceField(Product.objects.all())
    quantity = forms.IntegerField(min_value=0, max_value=MAX_QUANTITY)


class CheckoutForm(forms.Form):
    """Who gets the order, and where."""

    template_name = "shop/fields.html"

    name = forms.CharField(max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    email = forms.EmailField(widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    street = forms.CharField(
        label="Street and number",
        max_length=120,
        widget=forms.TextInput(attrs={"autocomplete": "street-address"}),
    )
    postcode = forms.CharField(
        max_length=12, widget=forms.TextInput(attrs={"autocomplete": "postal-code"})
    )
    city = forms.CharField(
        max_length=80, widget=forms.TextInput(attrs={"autocomplete": "address-level2"})
    )
