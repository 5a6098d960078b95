"""Checks of the settings that name a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction

from django_topsort.checks.messages import build_error, show
from django_topsort.conf import topsort_settings
from django_topsort.exceptions import TopsortConfigurationError

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

READER = "TOPSORT_ORDER_READER"
HOOKS = (
    READER,
    "TOPSORT_PRODUCT_ID",
    "TOPSORT_VENDOR_ID",
    "TOPSORT_USER_ID",
    "TOPSORT_CONSENT",
    "TOPSORT_IGNORE_REQUEST",
)


def check_hooks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require that each hook can be imported and called, by code that is not async."""
    return [message for name in HOOKS for message in check_hook(name)] + check_reader()


def check_hook(name: str) -> list[CheckMessage]:
    """Return what is wrong with the function that the setting ``name`` stands for."""
    try:
        hook: Any = topsort_settings.get_hook(name)
    except TopsortConfigurationError as error:
        why = f" ({error.__cause__})" if error.__cause__ else ""
        value = show(getattr(topsort_settings, name))
        what = "a class or a function" if name == READER else "a function"
        example = "Reader" if name == READER else "function"
        hint = (
            f'Write {name} = "shop.topsort.{example}", the path of a module and the name of {what}'
            f" in it, or {what.replace('a ', 'the ')} itself."
        )
        if isinstance(getattr(topsort_settings, name), str):
            text = f"{name}: {value} cannot be imported, or cannot be called{why}."
        else:
            text = f"{name}: {value} is no function and no dotted path."
        return [build_error("E016", text, hint)]
    # An object that can be called is async where its class says so.
    owner = hook if isinstance(hook, type) else type(hook)
    if hook is None or not (iscoroutinefunction(hook) or iscoroutinefunction(owner.__call__)):
        return []
    # Nothing awaits it, and a coroutine counts as true: as consent, for one.
    text = f"{name} is an async function, but its answer is needed at once."
    return [build_error("E017", text, "Write the function with def in place of async def.")]


def check_reader() -> list[CheckMessage]:
    """Require of a class that is to read orders, such as a model by mistake, that it reads any."""
    try:
        hook = topsort_settings.get_hook(READER)
    except TopsortConfigurationError:
        return []  # check_hook() says so
    # Not hasattr(): each class can be called itself, which makes an instance.
    if not isinstance(hook, type) or any("__call__" in vars(one) for one in hook.__mro__):
        return []
    text = f"{READER}: {show(getattr(topsort_settings, READER))} is a class that reads no order."
    hint = (
        "A reader class has __call__(self, order): write a subclass of"
        " django_topsort.purchases.reader.OrderReader, or a function that takes the order."
    )
    return [build_error("E040", text, hint)]
