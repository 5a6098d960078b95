"""Where a reader has each of its values from: noted while it reads, by the reader itself.

Nothing here knows a reader's rules. A copy of the reader is told to note which names it found
something under and what each of its methods returned, so that a method of a shop's own is named,
too. What reads an order otherwise, such as a function, is asked once and taken at its word.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from django_topsort.conf import topsort_settings
from django_topsort.purchases.reader import Found, OrderReader, Reading
from django_topsort.purchases.values import ABSENT, find_own_id, is_plain_id

FINDERS = ("find", "find_key", "find_placed_at", "find_lines")
METHODS = (
    "is_complete",
    "get_key",
    "get_placed_at",
    "get_lines",
    "read_line",
    "get_product",
    "get_product_id",
    "get_vendor_id",
    "get_quantity",
    "get_line_total",
    "get_line_currency",
    "get_currency",
    "get_opaque_user_id",
    "get_device_type",
    "get_channel",
)
MAX_SHOWN = 60  # characters of a value


class Origin(NamedTuple):
    """A field of a purchase, its value in words, and where that was read."""

    field: str
    value: str
    origin: str


@dataclass(eq=False)
class Step:
    """One call of a reader's method.

    ``name``: the method; ``definer``: the class that defines it, ``""`` for OrderReader itself.
    ``owner``: the order or line that it was asked about. ``found``: what it read, under which name.
    ``value``: what it returned, ``ABSENT`` where it raised.
    """

    name: str
    definer: str = ""
    owner: Any = None
    found: list[Found] = field(default_factory=list)
    inner: list[Step] = field(default_factory=list)
    value: Any = ABSENT

    def get_step(self, name: str) -> Step | None:
        """Return the last call of the method ``name`` that was made directly by this one."""
        return next((step for step in reversed(self.inner) if step.name == name), None)

    def walk(self) -> Iterator[Step]:
        """Yield this call and all that it led to, in their order."""
        yield self
        for step in self.inner:
            yield from step.walk()

    def describe(self) -> str:
        """Return in words where the value is from: ``""`` where nothing was found."""
        own = [f"{found.name} {show(found.value)}".rstrip() for found in self.found]
        if self.definer:
            read = f", which read {', '.join(own)}" if own else ""
            return f"from {self.definer}.{self.name}{read}"
        if not own or self.value is None:
            return ""
        # What is looked up later is used instead of what came before it.
        text = own[-1]
        quantity = self.get_step("get_quantity")
        if self.name == "get_line_total" and quantity is not None:
            text += f" x {quantity.describe() or 'quantity 1'}"
        return text


class Tracer:
    """Reads orders as ``reader`` does, and notes how: takes its place for ``judge_purchase``.

    ``name``: what the reader is called. ``root``: the call that is followed; its ``inner`` is what
    a reader of the class OrderReader did, and empty for any other. ``reading``: what was returned.
    """

    def __init__(self, reader: Callable[[Any], Reading]) -> None:
        self.name = _name_reader(reader)
        self.root = Step("__call__")
        self.reading: Any = None
        self.reader = reader
        self._stack = [self.root]
        if isinstance(reader, OrderReader):
            self.root.definer = _name_definer(reader, "__call__")
            self.reader = self._follow(reader)

    def __call__(self, order: Any) -> Reading:
        """Read ``order``; raises what the reader raises."""
        self.root.inner.clear()
        self.root.owner = order
        self.reading = self.root.value = self.reader(order)
        return self.root.value  # type: ignore[no-any-return]  # it has just been returned

    @property
    def is_followed(self) -> bool:
        """Whether the reader is one of whose values is known where they are from."""
        return isinstance(self.reader, OrderReader)

    def name_maker(self) -> str:
        """Return what made values that none of the followed methods returned."""
        return f"{self.root.definer}.__call__" if self.root.definer else self.name

    def get_failure(self) -> str:
        """Return in which method the reader raised, and for which line; ``""`` where unknown."""
        raised = [step for step in self.root.walk() if step.value is ABSENT][1:]
        if not raised:
            return ""
        lines = [step for step in self.root.inner if step.name == "read_line"]
        where = f" of line {len(lines)}" if raised[0].name == "read_line" else ""
        return f"{raised[-1].definer or 'OrderReader'}.{raised[-1].name}{where}"

    def _follow(self, reader: OrderReader) -> OrderReader:
        # Attributes of one instance go before its class's methods: a copy costs nobody else.
        followed = copy.copy(reader)
        own = vars(followed)
        finders = {name: self._note_found(getattr(followed, name)) for name in FINDERS}
        methods = {
            name: self._note_step(name, _name_definer(reader, name), getattr(followed, name))
            for name in METHODS
        }
        for kind in ("product", "vendor"):
            name = f"ask_{kind}_id"
            definer = _name_definer(reader, name)
            own[name] = self._note_asked(kind, definer and f"{definer}.{name}", followed)
        own.update(finders)
        own.update(methods)
        return followed

    def _note_step(self, name: str, definer: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def follow(owner: Any, *args: Any, **kwargs: Any) -> Any:
            step = Step(name, definer, owner)
            self._stack[-1].inner.append(step)
            self._stack.append(step)
            try:
                step.value = method(owner, *args, **kwargs)
            finally:
                self._stack.pop()
            return step.value

        return follow

    def _note_found(self, method: Callable[..., Found | None]) -> Callable[..., Found | None]:
        def find(owner: Any, *args: Any, **kwargs: Any) -> Found | None:
            found = method(owner, *args, **kwargs)
            if found is not None:
                name = ".".join(filter(None, (self._name_owner(owner), found.name)))
                self._stack[-1].found.append(Found(name, found.value))
            return found

        return find

    def _note_asked(self, kind: str, own_name: str, reader: OrderReader) -> Callable[[Any], Any]:
        ask = getattr(reader, f"ask_{kind}_id")
        setting = f"TOPSORT_{kind.upper()}_ID"

        def follow(owner: Any) -> Any:
            value = ask(owner)
            if value is not None:
                owner_name = self._name_owner(owner) or "line"
                name = f"{owner_name} -> {find_own_id(owner)[0]}"
                if own_name:
                    name = f"{own_name}({owner_name})"
                elif is_plain_id(owner):
                    name = owner_name
                elif getattr(topsort_settings, setting) is not None:
                    name = f"{setting}({owner_name})"
                self._stack[-1].found.append(Found(name, value))
            return value

        return follow

    def _name_owner(self, owner: Any) -> str:
        """Return how what is being read was found, ``""`` for the order or line itself."""
        step = self._stack[-1]
        if owner is step.owner:
            return ""
        earlier = [found for one in step.walk() for found in one.found if found.value is owner]
        return earlier[-1].name if earlier else ""


def _name_definer(reader: OrderReader, name: str) -> str:
    definer = next(one for one in type(reader).__mro__ if name in vars(one))
    return "" if definer is OrderReader else definer.__qualname__


def _name_reader(reader: Callable[[Any], Reading]) -> str:
    # A class's instance has no name of its own, and is called as its class is.
    named: Any = reader if hasattr(reader, "__qualname__") else type(reader)
    return f"{named.__module__}.{named.__qualname__}"


def show(value: object) -> str:
    """Return a value in one short line; of a list, how many it holds. Never raises."""
    try:
        text = f"({len(value)})" if isinstance(value, list) else f"{value}"
    except Exception:
        text = f"({type(value).__name__})"
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 3]}..."
