"""The README as a newcomer uses it: its blocks, and its set-up followed in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT / "docs").as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(ROOT.glob("docs/**/*.md"))
}
BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SETUP = README[README.index("## Set up in") : README.index("## Templates")]


class Block(NamedTuple):
    """A block of code: its language, the file that its title names, its text."""

    language: str
    title: str
    text: str


def get_blocks(text: str = README) -> list[Block]:
    """Return the blocks of code in ``text``."""
    return [Block(*found) for found in BLOCK.findall(text)]


def get_free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Newcomer:
    """Follows the set-up to the letter, in ``folder``, with the given interpreter."""

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.python = python
        self.api_port = get_free_port()
        self.site_port = get_free_port()
        # Nothing of the surrounding test run: neither its settings nor its folder on the path.
        leave = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")
        self.env = {key: value for key, value in os.environ.items() if key not in leave}

    def run(self, *command: str) -> None:
        """Run a command, which must end well."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"

    def translate(self, line: str) -> list[str]:
        """Return a line's command with our interpreter and the free ports."""
        command = shlex.split(line.replace("8787", str(self.api_port)))
        if command[0] == "python":
            command[0] = self.python
        elif command[0] == "django-admin":
            command[:1] = [self.python, "-m", "django"]
        return command

    @contextmanager
    def serve(self, *command: str, port: int) -> Iterator[None]:
        """Run a server until the block ends."""
        log = self.folder / f"{port}.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                command, cwd=self.folder, env=self.env, stdout=output, stderr=output
            )
            try:
                wait_for_port(port, server, log)
                yield
            finally:
                server.terminate()
                server.wait(10)

    @contextmanager
    def set_up(self) -> Iterator[None]:
        """Follow the set-up; its two servers run until the block ends.

        But for its first line: the package is used as it lies here, whether or not it is installed.
        """
        consoles = [block.text.splitlines() for block in get_blocks(SETUP) if not block.title]
        install, stand_in, site = consoles
        self.env["PYTHONPATH"] = str(ROOT)
        for line in install[1:]:
            self.run(*self.translate(line))
        for block in get_blocks(SETUP):
            if block.title:
                self.write(block)
        export, migrate, run_api = stand_in
        for word in self.translate(export)[1:]:
            name, _, value = word.partition("=")
            self.env[name] = value
        self.run(*self.translate(migrate))
        again, check, run_site = site
        assert again == export
        with self.serve(*self.translate(run_api), port=self.api_port):
            self.run(*self.translate(check))
            command = [*self.translate(run_site), "--noreload", str(self.site_port)]
            with self.serve(*command, port=self.site_port):
                yield

    def write(self, block: Block) -> None:
        """Write a block into the file that its title names; settings are added to."""
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.read_text(encoding="utf-8") if path.name == "settings.py" else ""
        path.write_text(before + block.text, encoding="utf-8")


def wait_for_port(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Return when somebody listens on ``port``."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert server.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, f"nobody listens on {port}"
            time.sleep(0.05)
        else:
            return
