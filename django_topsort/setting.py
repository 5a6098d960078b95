"""How one setting is read: at each use, from Django's, as fast as a setting can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from django.conf import UserSettingsHolder, settings
from django.utils.functional import empty

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")

_get_own = object.__getattribute__


def _find_source(name: str) -> Any:
    """Return what has the setting ``name``, if it is set, or says at once that it is not.

    What ``settings`` wraps, because ``settings`` itself takes 5 us to say that a name is not set,
    and what ``settings.configure()`` and ``override_settings`` lay over that takes 2. Django looks
    each attribute of ``settings`` up in Python, this one too, but for the object's own look-up.
    """
    source: Any = _get_own(settings, "_wrapped")
    while type(source) is UserSettingsHolder:
        own = source.__dict__
        if name in own or name in own["_deleted"]:
            return source
        source = own["default_settings"]
    return settings if source is empty else source


class Setting(Generic[T]):
    """One setting, as a descriptor that reads it at each use."""

    name: str

    def __init__(self, default: T, doc: str) -> None:
        self.default = default
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value: T = getattr(_find_source(self.name), self.name, self.default)
        return value
