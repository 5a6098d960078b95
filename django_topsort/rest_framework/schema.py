"""What drf-spectacular says of the endpoint; loaded only where the project has it.

The description comes of the very structs that read a body, with the bounds that their checks have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from django_topsort.browser.refusals import MAX_NAMED
from django_topsort.browser.shapes import SentEvents
from django_topsort.events import EVENT_KINDS
from django_topsort.fields import MAX_INTEGER, MAX_PRICE, MAX_TEXT
from django_topsort.loading import require
from django_topsort.rest_framework.bodies import CONTENT_TYPES

with require("drf_spectacular", needed_by=__name__, package="drf-spectacular"):
    from drf_spectacular.extensions import OpenApiViewExtension
    from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

REFUSAL = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": [*EVENT_KINDS]},
        "index": {"type": "integer", "minimum": 0, "description": "Its place in its list."},
        "id": {"type": "string", "description": "As it was sent, if it was."},
        "errCode": {"type": "string"},
        "message": {"type": "string"},
    },
    "required": ["kind", "index", "errCode", "message"],
}
ERROR = {
    "type": "object",
    "properties": {
        "errCode": {"type": "string"},
        "docUrl": {"type": "string", "format": "uri"},
        "message": {"type": "string"},
    },
    "required": ["errCode", "docUrl", "message"],
}
REFUSALS = {
    **ERROR,
    "properties": {
        **ERROR["properties"],  # type: ignore[dict-item]  # it is one
        "errors": {
            "type": "array",
            "items": REFUSAL,
            "maxItems": MAX_NAMED,
            "description": "The events that are not taken; all others are.",
        },
    },
}
ANSWERS = {
    400: ("Some events, or all, are not taken, and the rest is. Do not send them again.", REFUSALS),
    403: ("The page of another site.", ERROR),
    405: ("Another method than POST.", ERROR),
    411: ("A chunked body, where the server reads none.", ERROR),
    413: ("A body of more bytes than are taken.", ERROR),
    415: ("Neither application/json nor text/plain.", ERROR),
    429: ("Too many requests: send the events again after Retry-After seconds.", ERROR),
    500: ("Something is wrong in the shop: send the events again later.", ERROR),
}
DESCRIPTION = (
    "Takes events as `POST /v2/events` of Topsort's API does. Who the shopper is, the server"
    " decides: `opaqueUserId` may be absent. So may `id`, `occurredAt`, and what the API has"
    " optional."
)


class EventsViewExtension(OpenApiViewExtension):  # type: ignore[no-untyped-call]  # theirs
    """Describes EventsView, and what is made of it."""

    target_class = "django_topsort.rest_framework.views.EventsView"
    match_subclasses = True

    def view_replacement(self) -> Any:
        """Return the view with its description."""
        body = build_body_schema()
        responses: dict[Any, Any] = {204: OpenApiResponse(description="All events are taken.")}
        for status, (description, schema) in ANSWERS.items():
            # With the media type, so that the project's renderers play no part.
            responses[status, "application/json"] = OpenApiResponse(schema, description=description)
        describe: Callable[[Any], Any] = extend_schema(
            operation_id="topsort_events_create",
            summary="Report what was seen and clicked",
            description=DESCRIPTION,
            tags=["topsort"],
            parameters=[
                OpenApiParameter(
                    "automated", int, enum=[1], description="1: a program, so that nothing counts."
                )
            ],
            request=dict.fromkeys(sorted(CONTENT_TYPES), body),
            responses=responses,
        )

        class Described(self.target_class):  # type: ignore[name-defined,misc]  # a class by then
            @describe
            def post(self, request: Any) -> Any:
                return super().post(request)

        return Described


def build_body_schema() -> dict[str, Any]:
    """Return the JSON schema of a body, in one piece."""
    (schema,), parts = msgspec.json.schema_components(
        [SentEvents], ref_template="#/components/schemas/{name}"
    )
    body: dict[str, Any] = _complete(schema, parts)
    for kind in EVENT_KINDS:
        body["properties"][kind]["maxItems"] = 1000
    body["minProperties"] = 1
    return body


def _complete(schema: Any, parts: dict[str, Any], name: str = "") -> Any:
    if isinstance(schema, list):
        return [_complete(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _complete(parts[schema["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in schema:
        return _complete(_choose(schema["anyOf"]), parts, name)
    done: dict[str, Any] = {
        key: {one: _complete(part, parts, one) for one, part in value.items()}
        if key == "properties"
        else _complete(value, parts, name)
        for key, value in schema.items()
        # What nobody knows is left out, and no reason to refuse the rest. What is null is absent.
        if key not in ("title", "additionalProperties", "default") and value != []
    }
    if "description" in done:
        done["description"] = done["description"].partition("\n")[0]  # the rest is for Python
    return {**done, **_get_bounds(done, name)}


def _choose(options: list[dict[str, Any]]) -> dict[str, Any]:
    given = [option for option in options if option != {"type": "null"}]
    return given[0] if len(given) == 1 else {"oneOf": given}


def _get_bounds(schema: dict[str, Any], name: str) -> dict[str, Any]:
    if name == "occurredAt":
        return {"format": "date-time"}
    if schema.get("format") == "decimal":
        return {
            "type": "number",
            "format": "double",
            "minimum": 1e-12,
            "maximum": int(MAX_PRICE) - 1,
        }
    if schema.get("type") == "integer":
        return {"minimum": 1, "maximum": MAX_INTEGER}
    if schema.get("type") == "string" and "enum" not in schema:
        return {"minLength": 1, "maxLength": MAX_TEXT}
    return {}
