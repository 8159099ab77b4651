"""The tasks of one virtual device, so that it can be switched off whole, as a reset switches off a board.

A gather on CPython leaves its other tasks running when one of them fails; on a board the reset ends them all.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

_owner: ContextVar["OwnedTasks | None"] = ContextVar("owner", default=None)


def _create(loop: asyncio.AbstractEventLoop, coroutine: Any, **named: Any) -> asyncio.Task[Any]:
    """Task factory: a task belongs to whom the task that created it belongs."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **named)
    owner = _owner.get()
    if owner:
        owner.add(task)
    return task


class OwnedTasks:
    """Every task that run() begins, directly or not."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, task: asyncio.Task[Any]) -> None:
        """Called for each new task."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Await `coroutine` until it ends or is cancelled, by cancel() or with the caller; what it began ends with it.

        Raises what `coroutine` raised.
        """
        asyncio.get_running_loop().set_task_factory(_create)
        token = _owner.set(self)
        try:
            main = asyncio.create_task(coroutine)
        finally:
            _owner.reset(token)
        try:
            await asyncio.wait([main])
            if not main.cancelled():
                main.result()
        finally:
            await self.end()

    def cancel(self) -> None:
        """Cancel all of them; run() returns soon after."""
        for task in list(self._tasks):
            task.cancel()

    async def end(self) -> None:
        """Cancel all of them, and those that they begin in dying; returns when they are gone."""
        while self._tasks:
            self.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
