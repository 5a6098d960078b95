"""The events of the floor, in a module of their own that its ``start`` imports."""

from __future__ import annotations

import msgspec


class Placement(msgspec.Struct, rename="camel", gc=False):
    """Where an impression was shown."""

    path: str
    position: int
    page: int
    page_size: int


class Impression(msgspec.Struct, rename="camel", gc=False):
    """One impression, as Topsort's API has it."""

    id: str
    occurred_at: str
    opaque_user_id: str
    resolved_bid_id: str
    placement: Placement
    device_type: str
    channel: str


encode = msgspec.json.Encoder().encode
