"""What a request's body holds: the same count of bids for every client."""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

BID = re.compile(rb"bid-[0-9a-z-]+")
# Of Snowplow's trackers: self-describing events are encoded once more, by default.
ENCODED = re.compile(rb'"(?:ue_px|cx)": ?"([A-Za-z0-9_=-]+)"')


def count_bids(requests: Iterable[tuple[bytes, bytes]]) -> dict[str, int]:
    """Return how often each bid comes in ``requests``: pairs of a head, in lower case, and a body.

    A bid is whatever looks like ``bid-`` and letters, digits or hyphens, wherever it stands: so
    losses and duplicates are counted the same way for every client, each of which names the bid of
    an event once. Raises ValueError for an encoding that is not known.
    """
    bids: Counter[bytes] = Counter()
    for head, body in requests:
        bids.update(BID.findall(read_body(head, body)))
    return {bid.decode(): times for bid, times in bids.items()}


def find_arrivals(
    requests: Iterable[tuple[bytes, bytes]], times: Iterable[float]
) -> dict[str, float]:
    """Return when each bid came first; ``times`` are those of the requests."""
    arrivals: dict[bytes, float] = {}
    for (head, body), time in zip(requests, times, strict=True):
        for bid in BID.findall(read_body(head, body)):
            arrivals.setdefault(bid, time)
    return {bid.decode(): time for bid, time in arrivals.items()}


def read_body(head: bytes, body: bytes) -> bytes:
    """Return the body decompressed, and decoded where it is a form or has Base64 in it."""
    text = decompress(read_header(head, b"content-encoding"), body)
    if read_header(head, b"content-type").startswith(b"application/x-www-form-urlencoded"):
        text = unquote_to_bytes(text)
    if encoded := ENCODED.findall(text):
        return b"\n".join([text, *map(decode, encoded)])
    return text


def decompress(encoding: bytes, body: bytes) -> bytes:
    """Return what a body with this ``Content-Encoding`` holds; ValueError for an unknown one.

    Brotli and Zstandard are not in the standard library: a client takes the one it finds
    installed, and neither is in the environment of the peers.
    """
    if not encoding or encoding == b"identity":
        return body
    if encoding == b"gzip":
        return gzip.decompress(body)
    if encoding == b"deflate":
        return zlib.decompress(body)
    message = f"a body has an unknown Content-Encoding: {encoding!r}"
    raise ValueError(message)


def decode(text: bytes) -> bytes:
    """Return what Base64 of the URL's alphabet stands for, padded or not."""
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def read_header(head: bytes, name: bytes) -> bytes:
    """Return a header's value of a request's ``head``, both in lower case; ``b""`` without it."""
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else b""
