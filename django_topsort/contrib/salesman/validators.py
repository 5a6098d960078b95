"""The shop's ``SALESMAN_EXTRA_VALIDATOR``, and ours around it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.functional import cached_property

from django_topsort.contrib.salesman.shoppers import keep_shopper, leave_out_shopper
from django_topsort.logs import FieldLogger

logger = FieldLogger(logging.getLogger(__name__))

SETTING = "SALESMAN_EXTRA_VALIDATOR"

Validator = Callable[..., Any]


def install() -> None:
    """Let Salesman call ``keep_shopper`` after the validator that the shop names, or its own.

    Salesman asks one object for all its settings, and takes one validator. So the answer for this
    setting is replaced: the setting may be there or not, and is read as late as before.
    """
    from salesman.conf import AppSettings, app_settings

    own = vars(AppSettings).get(SETTING)
    if not isinstance(own, cached_property):
        said = "Salesman's settings have changed: let %s name a function that calls keep_shopper"
        logger.error(said, SETTING)
        return
    if getattr(own.func, "keeps_shopper", False):
        return
    get_validator = own.func

    def get_wrapped(settings: Any) -> Validator:
        return wrap(get_validator(settings))

    get_wrapped.keeps_shopper = True  # type: ignore[attr-defined]  # once is enough
    wrapped = cached_property(get_wrapped)
    wrapped.__set_name__(AppSettings, SETTING)
    setattr(AppSettings, SETTING, wrapped)
    vars(app_settings).pop(SETTING, None)  # somebody may have asked before


def wrap(validate: Validator) -> Validator:
    """Return a validator that does what ``validate`` does, and keeps the shopper.

    ``validate`` sees nothing of what is kept: it may refuse names that it does not know. What it
    raises goes on to Salesman. The ``extra`` of one line of a basket is none of our business.
    """

    def validate_extra(value: Any, context: Mapping[str, Any] | None = None) -> Any:
        context = {} if context is None else context
        if "basket_item" in context or not isinstance(value, Mapping):
            return validate(value, context=context)
        extra = validate(leave_out_shopper(value), context=context)
        return keep_shopper(extra, context) if isinstance(extra, dict) else extra

    return validate_extra
