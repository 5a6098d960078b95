"""The names under which the reader looks for the parts of an order."""

from __future__ import annotations

from django_topsort.purchases.names import OrderNames
from docs.extensions.reference_from_code.markdown import write_code, write_docstring, write_table


def get_order_names() -> dict[str, tuple[str, ...]]:
    """Return the attributes of the reader that list names, each with its names in their order."""
    return {
        attribute: tuple(names)
        for attribute, names in vars(OrderNames).items()
        if attribute.endswith("_names")
    }


def write_order_names() -> str:
    """Return a table of the attributes and their names."""
    rows = [
        (write_code(attribute), ", ".join(map(write_code, names)))
        for attribute, names in get_order_names().items()
    ]
    table = write_table(("attribute", "names, in this order"), rows)
    return f"{write_docstring(OrderNames)}\n\n{table}\n"
