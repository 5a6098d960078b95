"""What FakeApi takes and what it refuses: the rules of Topsort's Events API, on their own feet.

The shape of a body is held by ``events.schema.json``, which was written from Topsort's
documentation and is checked with the ``jsonschema`` library. Nothing here knows the package's event
classes, so a mistake in them is found here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from django_topsort.loading import require
from django_topsort.testing.explain import explain, get_err_code, get_rank

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

EVENTS_PATH = "/v2/events"
LINKS_PATH = "/v2/events/beta/link-users"
MAX_USER_ID = 64  # characters
KINDS = ("impressions", "clicks", "purchases", "pageviews")
KIND_NAMES = {
    "impressions": "impression",
    "clicks": "click",
    "purchases": "purchase",
    "pageviews": "page view",
}
CATEGORY_FIELDS = ("categoryIds", "categoryId")
DOC_URL = "https://api.docs.topsort.com/reference/errors"

# RFC 3339 as Go's encoding takes it: capital T and Z, an offset, no leap second. The checks that
# come with jsonschema let any text pass as a date-time unless a further library is installed.
RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the rules say of one request: the status, why, and the events that it brings."""

    status: int
    text: str
    err_code: str = ""
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    link: dict[str, str] | None = None

    @property
    def body(self) -> bytes:
        """The body to answer with: nothing for success, otherwise Topsort's error object."""
        return build_error_body(self.err_code, self.text) if self.err_code else b""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The rules for one server.

    ``api_key`` is the only key that is let in, None lets in any that begins with ``TSE_``.
    ``category_field`` is the key of a placement's category: ``"categoryIds"`` (a list) or
    ``"categoryId"`` (the older form, one string).
    """

    validator: Any
    api_key: str | None = None

    def judge(self, method: str, path: str, headers: Message, body: bytes) -> Verdict:
        """Return the verdict for a request; all its events are taken, or none."""
        refusal = self._judge_head(method, path, headers)
        if refusal is not None:
            return refusal
        try:
            document = parse_json(body)
        except (ValueError, RecursionError) as error:
            return Verdict(
                status=400, text=f"the body is not JSON: {error}", err_code="bad_request"
            )
        return judge_link(document) if path == LINKS_PATH else self._judge_document(document)

    def _judge_head(self, method: str, path: str, headers: Message) -> Verdict | None:
        if path not in (EVENTS_PATH, LINKS_PATH):
            text = f"{path!r} is not here, only {EVENTS_PATH} and {LINKS_PATH}"
            return Verdict(status=404, text=text, err_code="bad_request")
        if method != "POST":
            return Verdict(
                status=405, text=f"{method} is not allowed, only POST", err_code="bad_request"
            )
        scheme, _, token = str(headers.get("Authorization", "")).partition(" ")
        if scheme.lower() != "bearer" or not self._is_key(token):
            return Verdict(
                status=401,
                text="the Authorization header must be 'Bearer' and a marketplace key (TSE_...)",
                err_code="invalid_api_key",
            )
        charset = str(headers.get_param("charset", "utf-8")).lower()
        if headers.get_content_type() != "application/json" or charset != "utf-8":
            return Verdict(
                status=415,
                text=f"Content-Type {headers.get('Content-Type')!r} is not application/json",
                err_code="bad_request",
            )
        encoding = str(headers.get("Content-Encoding", "identity"))
        if encoding.lower() != "identity":
            return Verdict(
                status=415,
                text=f"Content-Encoding {encoding!r} is not known",
                err_code="bad_request",
            )
        return None

    def _is_key(self, token: str) -> bool:
        if self.api_key is not None:
            return token == self.api_key
        return token.startswith("TSE_") and token.isascii() and " " not in token

    def _judge_document(self, document: Any) -> Verdict:
        if isinstance(document, dict) and all(
            kind in KINDS and events == [] for kind, events in document.items()
        ):
            return Verdict(
                status=400, text="the request brings no event at all", err_code="empty_request"
            )
        errors = sorted(self.validator.iter_errors(document), key=get_rank)
        if errors:
            texts = list(dict.fromkeys(explain(error) for error in errors))
            more = f" (and {len(texts) - 1} more)" if len(texts) > 1 else ""
            return Verdict(status=400, text=f"{texts[0]}{more}", err_code=get_err_code(errors[0]))
        events = tuple((kind, event) for kind in KINDS for event in document.get(kind, ()))
        return Verdict(status=204, text=count_events(events), events=events)


def judge_link(document: Any) -> Verdict:
    """Return the verdict for a body that links two users."""
    text = ""
    if not isinstance(document, dict) or document.keys() != {"from", "to"}:
        text = "the body must be an object with 'from' and 'to', and nothing else"
    elif not all(
        isinstance(one, str) and 1 <= len(one) <= MAX_USER_ID for one in document.values()
    ):
        text = f"'from' and 'to' must be texts of 1 to {MAX_USER_ID} characters"
    elif document["from"] == document["to"]:
        text = "'from' and 'to' must differ"
    if text:
        return Verdict(status=400, text=text, err_code="bad_request")
    return Verdict(status=204, text="1 link of users", link=document)


def build_rules(api_key: str | None = None, category_field: str = "categoryIds") -> Rules:
    """Return the rules for a server; ImportError when the ``jsonschema`` library is missing."""
    if category_field not in CATEGORY_FIELDS:
        raise ValueError(
            f"category_field: {category_field!r} is not allowed, it must be one of "
            f"{', '.join(CATEGORY_FIELDS)}"
        )
    with require("jsonschema", needed_by="FakeApi", extra="testing"):
        import jsonschema
    formats = jsonschema.FormatChecker(formats=())
    formats.checks("date-time")(is_rfc_3339)
    validator = jsonschema.Draft202012Validator(load_schema(category_field), format_checker=formats)
    return Rules(validator=validator, api_key=api_key)


def load_schema(category_field: str = "categoryIds") -> dict[str, Any]:
    """Return the JSON schema of the body, with the category written in the form asked for."""
    text = files("django_topsort.testing").joinpath("events.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    parts = schema.pop("$defs")
    if category_field == "categoryId":
        placement = parts["placement"]["properties"]
        placement["categoryId"] = placement.pop("categoryIds")["items"]
    # Following references takes jsonschema two thirds of its time.
    return {key: _put_in_parts(value, parts) for key, value in schema.items()}


def _put_in_parts(schema: Any, parts: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_put_in_parts(one, parts) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _put_in_parts(parts[schema["$ref"].removeprefix("#/$defs/")], parts)
    return {key: _put_in_parts(value, parts) for key, value in schema.items()}


def is_rfc_3339(value: object) -> bool:
    """Tell whether a text is a time as RFC 3339 writes it, with its offset from UTC."""
    if not isinstance(value, str):
        return True  # what is no text is refused by the schema's type already
    if RFC_3339.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False  # such as the 30th of February
    return True


def parse_json(body: bytes) -> Any:
    """Parse a body more strictly than ``json``: UTF-8 only, no key twice, no NaN or Infinity.

    A number with a decimal point becomes a ``Decimal``, so that the digits sent can be compared.
    """
    return json.loads(
        body.decode("utf-8"),
        parse_float=Decimal,
        parse_constant=_refuse_constant,
        object_pairs_hook=_build_object,
    )


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no number in JSON")


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands in one object twice")
    return found


def build_error_body(err_code: str, message: str) -> bytes:
    """Return the JSON object with which Topsort answers a request that it refuses."""
    return json.dumps({"errCode": err_code, "docUrl": DOC_URL, "message": message}).encode()


def count_events(events: tuple[tuple[str, Mapping[str, Any]], ...]) -> str:
    """Return how many events of each kind there are: ``"2 impressions, 1 page view"``."""
    kinds = [kind for kind, _ in events]
    return ", ".join(
        say_count(kinds.count(kind), KIND_NAMES[kind]) for kind in KINDS if kind in kinds
    )


def say_count(count: int, word: str) -> str:
    """Return ``"1 click"``, ``"2 clicks"``: the number, and the word as the number has it."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
