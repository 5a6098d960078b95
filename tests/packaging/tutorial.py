"""A reader who follows docs/tutorial.md to the letter, in an empty folder.

What the page says is what is done. A block of code is one of these, and anything else is a failure:

* with a title, a file. The sentence before it names the same file, and says what to do with it:
  "Write" (it is not there yet), "Replace" (it is), or "At the end of".
* ``console``: commands for a shell, the first one unless the sentence before says "second
  terminal" or "third terminal". The environment of a shell lasts. A command that is in SERVERS runs
  until the end.
* ``text`` after commands: what the last of them prints. "..." stands for anything, as in doctest.
* ``text`` after a link to the stand-in: how many events of each kind it has.
* ``json``: one of its events, "..." standing for a value.

An item of a numbered list is something that a shopper does (see ``Reader.do``). Three things differ
from what the page says: ports, because those of the page may be taken; Topsort's own address, which
becomes the stand-in's; and that the server of the shop is started anew after a change, where
``runserver`` does that by itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.request import urlopen

from tests.readme import PAGES, get_free_port, wait_for_port

SERVERS = ("topsort_fake_api", "runserver")
TERMINALS = ("first", "second", "third")
KINDS = {
    "page view": "pageviews",
    "impression": "impressions",
    "click": "clicks",
    "purchase": "purchases",
}


class Part(NamedTuple):
    """A part of the page: a block of code, something that a shopper does, or prose (``""``)."""

    kind: str  # a language, "do", or "prose"
    text: str
    title: str = ""
    before: str = ""  # the prose right before it


class Shopper(Protocol):
    """Who looks at the shop."""

    def open(self, url: str) -> None: ...
    def look(self, seconds: float) -> None: ...
    def click(self, text: str) -> None: ...
    def press(self, text: str) -> None: ...


def get_page() -> str:
    """Return the text of the tutorial."""
    return PAGES["tutorial.md"]


def read_parts(page: str) -> Iterator[Part]:
    """Yield the parts of a page, in order."""
    lines = page.split("\n")
    prose: list[str] = []
    before = ""
    while lines:
        line = lines.pop(0)
        is_item, is_block = re.match(r"\d+\. ", line), line.startswith("```")
        if line and not is_item and not is_block:
            prose.append(line.strip())
            continue
        if prose:
            before = " ".join(prose)
            prose = []
            yield Part("prose", before)
        if is_item:
            yield Part("do", line.partition(". ")[2])
        elif is_block:
            info = re.fullmatch(r'```(\w*)(?: title="([^"]+)")?', line)
            assert info, f"a block that begins with {line!r}"
            end = lines.index("```")
            code = "".join(f"{one}\n" for one in lines[:end])
            del lines[: end + 1]
            yield Part(info[1], code, info[2] or "", before)
            before = ""  # the next block has a sentence of its own


def matches(expected: str, found: str) -> bool:
    """Whether a text is as expected, where "..." stands for anything."""
    pattern = re.escape(expected.strip()).replace(r"\.\.\.", ".*")
    return re.fullmatch(pattern, found.strip(), re.DOTALL) is not None


def is_like(expected: Any, found: Any) -> bool:
    """Whether a value of JSON is as expected, where "..." stands for any text."""
    if expected == "...":
        return isinstance(found, str) and found != ""
    if isinstance(expected, dict) and isinstance(found, dict):
        return expected.keys() == found.keys() and all(
            is_like(value, found[key]) for key, value in expected.items()
        )
    if isinstance(expected, list) and isinstance(found, list):
        return len(expected) == len(found) and all(map(is_like, expected, found))
    return bool(expected == found)


class Reader:
    """Follows the page in ``folder``; ``path`` is what a new terminal has for ``PATH``.

    ``variables`` are set in each terminal besides.
    """

    def __init__(self, folder: Path, shopper: Shopper, path: str, **variables: str) -> None:
        self.folder = folder
        self.shopper = shopper
        leave = ("DJANGO", "PYTHON", "COV", "TOPSORT", "VIRTUAL_ENV", "PYTEST")
        base = {key: value for key, value in os.environ.items() if not key.startswith(leave)}
        base |= {"PATH": path, **variables}
        self.terminals = {name: dict(base) for name in TERMINALS}
        self.ports = {"8787": f"{get_free_port()}", "8000": f"{get_free_port()}"}
        self.servers: dict[str, tuple[subprocess.Popen[bytes], str, dict[str, str]]] = {}
        self.command: tuple[str, dict[str, str]] = ("", {})  # the last one
        self.printed = ""  # what it has printed
        self.is_changed = False
        self.done: list[str] = []  # what was done, a word each

    def follow(self, page: str) -> None:
        """Follow the whole page, and stop what it has started."""
        try:
            for part in read_parts(page):
                self.take(part)
        finally:
            self.stop()

    def take(self, part: Part) -> None:
        """Do what a part of the page says. AssertionError for what nobody could."""
        where = f"{part.before}\n{part.text}"
        if part.kind == "prose":
            return
        if part.kind != "text":
            self.printed = ""
        if part.kind == "do":
            self.do(self.translate(part.text))
        elif part.title:
            self.write(part)
        elif part.kind == "console":
            self.run_all(part)
        elif part.kind == "text" and "<http://127.0.0.1:8787/>" in part.before:
            self.compare_totals(part.text)
        elif part.kind == "text" and self.printed:
            self.compare_printed(part.text, where)
        elif part.kind == "json":
            self.compare_event(json.loads(part.text))
        else:
            raise AssertionError(f"nobody knows what to do with {part.kind!r}:\n{where}")
        self.done.append(part.kind)

    def translate(self, text: str) -> str:
        """Return a text with our ports, and without the real API."""
        for theirs, ours in self.ports.items():
            text = text.replace(theirs, ours)
        return text.replace("https://api.topsort.com", f"http://127.0.0.1:{self.ports['8787']}")

    def write(self, part: Part) -> None:
        """Write a file as the sentence before its block says."""
        path = self.folder / part.title
        verb = re.search(r"(Write|Replace|At the end of) `([^`]+)`", part.before)
        assert verb, f"{part.title}: what to do with it? {part.before}"
        assert verb[2] == part.title, f"the sentence says {verb[2]}, the block {part.title}"
        assert path.exists() == (verb[1] != "Write"), f"{verb[1]} {part.title}?"
        before = path.read_text(encoding="utf-8") if verb[1] == "At the end of" else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(before + self.translate(part.text), encoding="utf-8")
        self.is_changed = True

    def run_all(self, part: Part) -> None:
        """Run the commands of a block in the terminal that the sentence before it names."""
        (name,) = re.findall(r"(\w+) terminal", part.before)[-1:] or ["first"]
        terminal = self.terminals[name]
        for line in part.text.splitlines():
            command = self.translate(line)
            if any(server in command for server in SERVERS):
                self.serve(command, terminal)
            else:
                self.command = (command, terminal)
                self.printed = self.run(*self.command)

    def run(self, command: str, terminal: dict[str, str]) -> str:
        """Run a command, which must end well; what it exports stays. Return what it prints."""
        kept = self.folder.parent / "environment"
        done = subprocess.run(
            ["/bin/sh", "-c", f"{command}\nstatus=$?\nenv -0 > {kept}\nexit $status"],
            cwd=self.folder,
            env=terminal,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        lines = kept.read_text(encoding="utf-8").split("\0")[:-1]
        terminal.clear()
        terminal.update(dict(line.split("=", 1) for line in lines))
        return done.stdout

    def compare_printed(self, expected: str, where: str) -> None:
        """Compare what the last command has printed; of what is under way, it is asked again."""
        deadline = time.monotonic() + 10
        while not matches(expected, self.printed):
            is_asked_again = "topsort_" in self.command[0] and time.monotonic() < deadline
            assert is_asked_again, f"{where}\nit printed\n{self.printed}"
            self.printed = self.run(*self.command)
        self.printed = ""

    def serve(self, command: str, terminal: dict[str, str]) -> None:
        """Start a server, and return when it listens."""
        name = next(server for server in SERVERS if server in command)
        port = self.ports["8787" if name == "topsort_fake_api" else "8000"]
        more = f" --port {port}" if name == "topsort_fake_api" else f" --noreload {port}"
        log = self.folder.parent / f"{name}.log"
        with log.open("ab") as output:
            server = subprocess.Popen(
                ["/bin/sh", "-c", f"exec {command.removesuffix(more)}{more}"],
                cwd=self.folder,
                env=terminal,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self.servers[name] = (server, command, terminal)
        wait_for_port(int(port), server, log)
        self.is_changed = False

    def reload(self) -> None:
        """Start the shop anew if its files have changed since."""
        if self.is_changed:
            _, command, terminal = self.servers["runserver"]
            self.stop("runserver")
            self.serve(command, terminal)

    def stop(self, *names: str) -> None:
        """Stop servers as Ctrl-C does, by default all."""
        for name in names or list(self.servers):
            server = self.servers.pop(name)[0]
            server.send_signal(2)
            with suppress(subprocess.TimeoutExpired):
                server.wait(15)
            server.kill()
            server.wait()

    def do(self, action: str) -> None:
        """Do what a shopper does."""
        self.reload()
        if found := re.fullmatch(r"Open <(http://127\.0\.0\.1:\d+/\S*)>\.", action):
            self.shopper.open(found[1])
        elif found := re.fullmatch(r"Click on \*\*(.+)\*\*\.", action):
            self.shopper.click(found[1])
        elif found := re.fullmatch(r"Press \*\*(.+)\*\*\.", action):
            self.shopper.press(found[1])
        elif re.fullmatch(r"Look at the list for two seconds\.", action):
            self.shopper.look(2)
        else:
            raise AssertionError(f"no shopper knows how to {action!r}")

    def get_received(self) -> Any:
        """Return what the stand-in's page shows."""
        with urlopen(f"http://127.0.0.1:{self.ports['8787']}/events.json") as answer:
            return json.load(answer)

    def compare_totals(self, text: str) -> None:
        """Wait until the stand-in has as many events of each kind as the page says."""
        counts = [line.split(" ", 1) for line in text.splitlines()]
        said = {KINDS[name.removesuffix("s")]: int(count) for count, name in counts}
        deadline = time.monotonic() + 15
        while (totals := self.get_received()["totals"]) != said:
            assert time.monotonic() < deadline, f"the page says {said}, it is {totals}"
            time.sleep(0.05)

    def compare_event(self, expected: Any) -> None:
        """Look for an event among those that the stand-in has."""
        events = [row["event"] for row in self.get_received()["events"]]
        assert any(is_like(expected, event) for event in events), f"{expected}\nnot in\n{events}"
