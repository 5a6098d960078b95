"""The signals that shops send to us, and those with which we say what became of events.

A shop sends the first five. Nothing that a receiver of ours does raises into ``send()``, but for a
wrong impression, click or page view while ``TOPSORT_STRICT`` holds. We announce the other four with
``send_robust()``, so a receiver that raises breaks neither a page nor the delivery.
"""

from __future__ import annotations

from django.dispatch import Signal

# Arguments: request, and those of tracking.track_impression.
impression = Signal()

# Arguments: request, and those of tracking.track_click.
click = Signal()

# Arguments: request, and those of tracking.track_pageview.
pageview = Signal()

# Arguments: order (a model instance or its number), request. Remembers who is ordering.
order_placed = Signal()

# Arguments: order, request=None, opaque_user_id=None. Reports the purchase when it is committed.
order_paid = Signal()

# Arguments: event, request (None outside of one). The sender is the event's class.
event_recorded = Signal()

# Arguments: events (a list). The sender is the backend's class.
events_delivered = Signal()

# Arguments: events (a list), error (the ApiError that says why). The sender is the backend's class.
events_rejected = Signal()

# Arguments: kind, count, reason, events (a list; empty when no event could be made of the data).
# The sender is the backend's class, or None for what never reached one.
events_dropped = Signal()
