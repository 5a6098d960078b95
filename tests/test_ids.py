"""Ids are UUIDs of version 7, and no two are the same."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from django_topsort.ids import COUNTER_VALUES, IdSequence, build_id

MAKERS: list[Callable[[], str]] = [build_id, IdSequence().build_next]
each_maker = pytest.mark.parametrize("make", MAKERS, ids=["build_id", "IdSequence"])


def build_many(number: int) -> list[str]:
    """Return ids of both makers; also what a spawned process runs."""
    sequence = IdSequence()
    return [make() for make in (build_id, sequence.build_next) for _ in range(number)]


def get_milliseconds(text: str) -> int:
    return UUID(text).int >> 80


@each_maker
def test_id_has_the_layout_of_a_uuid_of_version_7(make: Callable[[], str]) -> None:
    for text in (make() for _ in range(1000)):
        found = UUID(text)
        assert text == str(found)
        assert len(text) == 36
        assert found.version == 7
        assert found.variant == "specified in RFC 4122"


@pytest.mark.parametrize("build", [build_id, lambda: IdSequence().build_next()])
def test_id_begins_with_the_time_in_milliseconds(build: Callable[[], str]) -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = get_milliseconds(build())

    assert before <= milliseconds <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("build", [build_id, lambda: IdSequence().build_next()])
def test_every_random_bit_of_an_id_takes_both_values(build: Callable[[], str]) -> None:
    some = [UUID(build()).int for _ in range(400)]
    ones = zeros = 0
    for number in some:
        ones |= number
        zeros |= ~number
    version = 0b1111 << 76
    variant = 0b11 << 62
    counter = 0 if build is build_id else 0xFFFF
    random_bits = ((1 << 80) - 1) & ~(version | variant | counter)

    assert ones & zeros & random_bits == random_bits


def test_ids_of_a_sequence_share_all_but_the_counter() -> None:
    sequence = IdSequence()
    some = [sequence.build_next() for _ in range(300)]

    assert {text[:32] for text in some} == {some[0][:32]}
    assert [int(text[32:], 16) for text in some] == list(range(300))
    assert some == sorted(some)


def test_sequence_goes_on_with_another_prefix_when_its_counter_is_used_up() -> None:
    sequence = IdSequence()
    some = [sequence.build_next() for _ in range(COUNTER_VALUES + 10)]

    assert len(set(some)) == len(some)
    assert {text[:32] for text in some[:COUNTER_VALUES]} == {some[0][:32]}
    assert some[COUNTER_VALUES][:32] != some[0][:32]
    assert some[-1].endswith("0009")


def test_ids_are_unique_across_sequences() -> None:
    some = [IdSequence().build_next() for _ in range(10_000)]

    assert len(set(some)) == len(some)


@each_maker
def test_ids_are_unique_across_threads(make: Callable[[], str]) -> None:
    start = threading.Barrier(16)

    def build(_: int) -> list[str]:
        start.wait()
        return [make() for _ in range(5000)]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            some = [text for part in pool.map(build, range(16)) for text in part]
    finally:
        sys.setswitchinterval(interval)

    assert len(some) == 80_000
    assert len(set(some)) == len(some)


def test_ids_are_unique_across_spawned_processes() -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        parts = pool.map(build_many, [1000, 1000])
        pool.close()
        pool.join()
    some = [*build_many(1000), *(text for part in parts for text in part)]

    assert len(set(some)) == len(some) == 6000


# In a process of its own, because forking one that has threads is warned of. The children end as
# an interpreter does, so that what they ran is counted as covered.
FORKING = """
import os, sys
from django_topsort.ids import IdSequence, build_id

sequence = IdSequence()
lines = [sequence.build_next() for _ in range(50)] + [build_id() for _ in range(50)]
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        lines, children = [], []
        # A fork of a fork: the number of forks must differ from the parent's, too.
        child = os.fork()
        if not child:
            lines = []
        else:
            children.append(child)
        break
    children.append(child)
lines += [sequence.build_next() for _ in range(500)] + [build_id() for _ in range(500)]
for child in children:
    os.waitpid(child, 0)
sys.stdout.write("\\n".join(lines) + "\\n")
sys.stdout.flush()
"""


def test_ids_are_unique_across_forks_in_the_middle_of_a_sequence() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, check=True, timeout=60
    )
    some = done.stdout.split()

    assert done.stderr == ""
    assert len(some) == 100 + 7 * 1000
    assert len(set(some)) == len(some)
