"""The processes of a demo: each started with its own log, watched until it is ready, and ended by its id."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

READY_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 8
# The end of a log that an error shows; the whole of it is in the file.
_LAST_CHARS_MAX = 200


class Ports:
    """Ports of this machine that are ours until close(): numbers, to be given to processes that listen on loopback.

    On Linux each stays bound, not listening, beside the process that listens there: nobody else gets it, neither
    another demo nor an outgoing connection while a killed process is away. Elsewhere the system forbids that, and the
    ports are only known to have been free.
    """

    def __init__(self, count: int) -> None:
        self._held: list[socket.socket] = []
        for _ in range(count):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0))
            self._held.append(one)
        self.numbers = [int(one.getsockname()[1]) for one in self._held]
        if sys.platform != "linux":
            self.close()

    def close(self) -> None:
        """Let go of them."""
        for one in self._held:
            one.close()


class StartError(Exception):
    """A process ended or did not get ready; str() says which one, its last words, and where its log is."""


class Process:
    """name: for people and the log file. command: a module of ours and its arguments. ready: word that it prints."""

    def __init__(self, name: str, command: list[str], logs: Path, ready: str = "") -> None:
        self.name = name
        self._command = [sys.executable, "-m", *command]
        self._log = logs / f"{name}.log"
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> str:
        """Start and wait for the ready line; returns it. Raises StartError."""
        with self._log.open("ab") as log:
            at = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the demo's: it ends its children in order
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        return await self._wait_ready(at) if self._ready else ""

    async def _wait_ready(self, at: int) -> str:
        for _ in range(READY_TIMEOUT_S * 20):
            alive = self.pid is not None  # before the log is read: the last words of a process count
            for line in self._log.read_bytes()[at:].decode(errors="replace").splitlines():
                if line.startswith(self._ready):
                    return line
            if not alive:
                break
            await asyncio.sleep(0.05)
        raise self.not_ready()

    def not_ready(self) -> StartError:
        """The error that says why this process is of no use."""
        status = self._process.returncode if self._process else None
        how = f"was not ready after {READY_TIMEOUT_S} s" if status is None else f"ended with status {status}"
        lines = self._log.read_text("utf-8", errors="replace").split("\n") if self._log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return StartError(f"{self.name} {how}: {last[:_LAST_CHARS_MAX]}\nRead its log: {self._log}")

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self._process and self._process.returncode is None:
            self._process.kill()

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL for whoever does not listen; its own children go with it."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), _STOP_TIMEOUT_S)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
