"""Checks of the settings that name a function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction

from django_topsort.checks.messages import build_error, show
from django_topsort.conf import topsort_settings
from django_topsort.exceptions import TopsortConfigurationError

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

HOOKS = (
    "TOPSORT_ORDER_READER",
    "TOPSORT_PRODUCT_ID",
    "TOPSORT_VENDOR_ID",
    "TOPSORT_USER_ID",
    "TOPSORT_CONSENT",
    "TOPSORT_IGNORE_REQUEST",
)


def check_hooks(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Require that each hook can be imported and called, by code that is not async."""
    return [message for name in HOOKS for message in check_hook(name)]


def check_hook(name: str) -> list[CheckMessage]:
    """Return what is wrong with the function that the setting ``name`` stands for."""
    try:
        hook: Any = topsort_settings.get_hook(name)
    except TopsortConfigurationError as error:
        why = f" ({error.__cause__})" if error.__cause__ else ""
        value = show(getattr(topsort_settings, name))
        hint = (
            f'Write {name} = "shop.topsort.function", the path of a module and the name of a'
            " function in it, or the function itself."
        )
        text = f"{name}: {value} cannot be imported, or cannot be called{why}."
        return [build_error("E016", text, hint)]
    # An object that can be called is async where its class says so.
    owner = hook if isinstance(hook, type) else type(hook)
    if hook is None or not (iscoroutinefunction(hook) or iscoroutinefunction(owner.__call__)):
        return []
    # Nothing awaits it, and a coroutine counts as true: as consent, for one.
    text = f"{name} is an async function, but its answer is needed at once."
    return [build_error("E017", text, "Write the function with def in place of async def.")]
