"""Ctrl-C between two steps instead of in the middle of one."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

__all__ = ["DeferredInterrupt"]


class DeferredInterrupt:
    """While entered, the first Ctrl-C only sets `requested`; `check` then raises.

    A second one raises KeyboardInterrupt where it finds the program, and sets `forced`,
    except within `shielded` work, such as an optimizer's step, which always ends. Outside the
    main thread, where Python delivers no signals, and where SIGINT is ignored, nothing
    changes. The handler from before is put back at the end.

    Examples
    --------
    >>> with DeferredInterrupt() as interrupt:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interrupt.requested
    True
    """

    def __init__(self) -> None:
        self.requested = False
        self.forced = False
        self.shielded = False
        self._previous: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if handler not in (None, signal.SIG_IGN):  # None: somebody else's, in C
                signal.signal(signal.SIGINT, self._handle)
                self._previous = handler
        return self

    def __exit__(self, *exception: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self.requested and not self.shielded:
            self.forced = True
            raise KeyboardInterrupt
        self.requested = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.requested:
            raise KeyboardInterrupt
