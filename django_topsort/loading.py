"""Importing what only some processes need, or only some projects have."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Loading:
    """Lets a fork wait until no thread is importing what has been put off: ``with loading.lock``.

    A child would find modules half made, by a thread that it does not have, and Python would go on
    waiting for that thread: the child could never use them.
    """

    patience = 5.0  # seconds; the longest import takes a fraction of one, once in a process

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(
            before=self._hold, after_in_parent=self._let_go, after_in_child=self._begin_anew
        )

    @property
    def lock(self) -> threading.RLock:
        """The lock, of this very process."""
        if self._pid != os.getpid():
            # uWSGI forks without Python's hooks, and a thread of the parent may have held it.
            self._begin_anew()
        return self._lock

    @property
    def is_mine(self) -> bool:
        """Whether this thread is importing: whoever asks has come in between, by a signal."""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]  # threading.Condition asks, too

    def _hold(self) -> None:
        self._lock.acquire(timeout=self.patience)

    def _let_go(self) -> None:
        with suppress(RuntimeError):  # patience was at an end
            self._lock.release()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()


loading = Loading()  # of whoever calls us, such as a request
posting = Loading()  # of what posts, which takes longer: no request waits for it


@contextmanager
def require(module: str, *, needed_by: str, package: str = "", extra: str = "") -> Iterator[None]:
    """Import in the block what not every project has installed, and say what to install.

    ``module`` is the library's top-level name, ``needed_by`` is what of ours needs it, as a reader
    knows it. ``package`` is the library's name on the package index where that differs, ``extra``
    the extra of this package that brings it. Raises ModuleNotFoundError, which says so, if it is
    absent; any other error of an import, such as one inside of the library, stays what it is::

        with require("jinja2", needed_by="django_topsort.jinja2"):
            import jinja2
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module:
            raise
        name = package or module
        install = f'"django-topsort[{extra}]"' if extra else name
        raise ModuleNotFoundError(
            f"{needed_by} needs {name}, which is not installed: pip install {install}",
            name=error.name,
        ) from error
