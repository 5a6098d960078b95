"""A process of the market that makes others in no time: each line of its input is a job for one.

``{"job": ..., ...}`` forks a child that does it, and answers with its pid; ``{"reap": pid}`` waits
for its end and answers with its exit code. No connection is open when it forks.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from django.db import connections

from django_topsort.backends import connections as posting
from django_topsort.outbox import background
from django_topsort.outbox.backend import EventBackend
from django_topsort.outbox.relay import Relay
from django_topsort.reporting import Reporter
from tests.faults.market.script import (
    Order,
    build_event,
    connection,
    die,
    flush,
    order_paid,
    place_order,
    record,
    transaction,
)

__all__ = ["background", "posting"]  # loaded once, and not by each child


class Refused(Exception):
    """The card is refused, and the order is rolled back."""


def live(number: str, is_refused: bool, is_finished: bool, point: str, statement: int) -> None:
    """Live an order's life to its end, or to the point at which this process is killed."""
    if point == "statement":
        connection.execute_wrappers.append(DeadlyStatement(statement))
    try:
        with transaction.atomic():
            if point == "first hook":
                transaction.on_commit(die)
            order = place_order(number)
            if is_finished:
                record(build_event("purchases", number))
            else:
                order_paid.send(sender=Order, order=order, opaque_user_id="shopper-1")
            if point == "last hook":
                transaction.on_commit(die)
            if point == "before the commit":
                die()
            if is_refused:
                raise Refused
    except Refused:
        pass
    if point == "after the commit":
        die()
    flush(30)


class DeadlyStatement:
    """Kills this process right before one of its statements, or right after it."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            die()
        result = execute(*arguments)
        self.left -= 1
        if self.left == 0:
            die()
        return result


def relay() -> None:
    """Send what is due, once."""
    Relay("default", Reporter(EventBackend)).run(lambda: True)


JOBS: dict[str, Callable[..., None]] = {"live": live, "relay": relay}


def start(job: str, **arguments: Any) -> int:
    """Fork a child that does a job; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        JOBS[job](**arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def reap(pid: int) -> int:
    """Wait for a child's end; return its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main() -> None:
    """Do what the input says, line by line."""
    opened = connections.all(initialized_only=True)
    assert all(one.connection is None for one in opened)
    for line in sys.stdin:
        told = json.loads(line)
        answer = reap(told["reap"]) if "reap" in told else start(**told)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
