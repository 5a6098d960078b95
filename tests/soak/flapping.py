"""An API that comes and goes, and a tally of what it took."""

from __future__ import annotations

import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django_topsort.testing import FakeApi, Fault, ReceivedRequest
from tests.soak.verdict import Taken

KEY = "TSE_servers"
KEPT = 20_000  # requests and events; of ten times as many the API knows the ids
POISON = "poison"  # in the id of an order that the API refuses
LONGEST_FAULT = 3.0  # seconds
LONGEST_CALM = 3.0
PAGE = b"<html>Please log in</html>"

Start = Callable[[FakeApi, random.Random], AbstractContextManager[Any]]
FAULTS: dict[str, Start] = {
    "half 503": lambda api, chance: api.answer(503, matches=lambda _: chance.random() < 0.5),
    "429": lambda api, chance: api.answer(429, headers={"Retry-After": "1"}),
    "500": lambda api, chance: api.answer(500, PAGE),
    "login page": lambda api, chance: api.answer(200, PAGE),
    "reset": lambda api, chance: api.reset(matches=lambda _: chance.random() < 0.7),
    "closed": lambda api, chance: api.close_without_answer(matches=lambda _: chance.random() < 0.7),
    "lost answers": lambda api, chance: api.lose_answers(matches=lambda _: chance.random() < 0.7),
    "hanging": lambda api, chance: api.hang(),
    "slow": lambda api, chance: api.delay(0.3),
    "dripping": lambda api, chance: api.drip(0.02),
    "endless": lambda api, chance: api.fault(Fault(status=200, padding=50 * 1024 * 1024)),
    "refusing": lambda api, chance: api.refuse(),
}


class FlappingApi:
    """A FakeApi whose faults take turns by chance, from ``start`` to ``calm``."""

    def __init__(self, seed: int) -> None:
        self.shown: Counter[str] = Counter()
        self.requests = 0
        self._taken = Taken()
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._flap, name="flapping", daemon=True)
        self.api = FakeApi(api_key=KEY, keep=KEPT, on_request=self._note)

    def start(self) -> None:
        self.api.start()
        self.api.poison(POISON, err_code="invalid_product_id")
        self._thread.start()

    def calm(self) -> None:
        """End the faults, but for the poison's, for good."""
        self._is_over.set()
        self._thread.join()

    def stop(self) -> Taken:
        """Stop, and return what was taken."""
        self.api.stop()
        with self._lock:
            self._taken.altered = len(self.api.altered)
            return self._taken

    def _flap(self) -> None:
        while not self._is_over.wait(self._chance.uniform(0.5, LONGEST_CALM)):
            name = self._chance.choice(list(FAULTS))
            self.shown[name] += 1
            with FAULTS[name](self.api, self._chance):
                self._is_over.wait(self._chance.uniform(0.5, LONGEST_FAULT))

    def _note(self, request: ReceivedRequest) -> None:
        with self._lock:
            self.requests += 1
            self._taken.counts += request.taken
            if request.taken["purchases"]:
                events = json.loads(request.body)["purchases"]
                self._taken.purchases.update(event["id"] for event in events)
