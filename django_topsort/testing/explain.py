"""What is wrong with a refused body, in words: where, what was sent, what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django_topsort.exceptions import describe

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

TYPES = {
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}
RULES = {
    "minLength": "it must not be empty",
    "minItems": "it must hold at least one",
    "maximum": "it is too large for a number",
    "format": "it must be a time with its offset, such as 2009-01-01T12:59:59-05:00 (RFC 3339)",
}


def explain(error: ValidationError) -> str:
    """Return one line: ``impressions[0].placement.position: 0 is not allowed, it must be ...``."""
    return _explain_keys(error) or _explain_value(error)


def get_rank(error: ValidationError) -> tuple[bool, list[str]]:
    """Return the order of a mistake among others: as they stand in the body, wholes after parts."""
    place = [str(part).zfill(4) for part in error.absolute_path]
    return error.validator == "anyOf", place


def get_err_code(error: ValidationError) -> str:
    """Return the ``errCode`` that Topsort documents for such a mistake, else ``bad_request``."""
    field = error.absolute_path[-1] if error.absolute_path else ""
    if error.validator == "minItems" and field == "items":
        return "no_purchase_items"
    if error.validator == "minimum" and field == "quantity":
        return "purchase_item_quantity_less_or_equal_than_zero"
    if error.validator == "required" and "productId" in _get_missing(error):
        return "missing_product_id"
    return "bad_request"


def _explain_keys(error: ValidationError) -> str:
    sent: Any = error.instance
    if error.validator == "required":
        names = ", ".join(_get_missing(error))
        return f"{_get_place(error)}: {names} is missing"
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        allowed = schema["properties"]
        unknown = ", ".join(describe(key) for key in sent if key not in allowed)
        return f"{_get_place(error)}: {unknown} is no key of it, allowed are {', '.join(allowed)}"
    if error.validator == "maxItems":
        return (
            f"{_get_place(error)}: {len(sent)} were sent, "
            f"at most {error.validator_value} of a kind are taken at once"
        )
    return ""


def _explain_value(error: ValidationError) -> str:
    if error.validator == "anyOf":  # what is wrong is not the value, but what it lacks
        return f"{_get_place(error)}: {_get_rule(error)}"
    return f"{_get_place(error)}: {describe(error.instance)} is not allowed, {_get_rule(error)}"


def _get_rule(error: ValidationError) -> str:
    limit: Any = error.validator_value
    schema: Any = error.schema
    match error.validator:
        case "anyOf":
            return str(schema["x-rule"])
        case "type":
            names = [limit] if isinstance(limit, str) else limit
            return f"it must be {' or '.join(TYPES[name] for name in names)}"
        case "enum":
            return f"it must be one of {', '.join(limit)}"
        case "minimum":
            return f"it must be {limit} or more"
        case "exclusiveMinimum":
            return f"it must be more than {limit}"
        case _:
            return RULES[str(error.validator)]


def _get_missing(error: ValidationError) -> list[str]:
    required: Any = error.validator_value
    sent: Any = error.instance
    return [name for name in required if name not in sent]


def _get_place(error: ValidationError) -> str:
    place = ""
    for part in error.absolute_path:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return place.lstrip(".") or "the body"
