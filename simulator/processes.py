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


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class StartError(Exception):
    """A process ended or did not get ready; str() says which one and where its log is."""


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
            for line in self._log.read_bytes()[at:].decode(errors="replace").splitlines():
                if line.startswith(self._ready):
                    return line
            if self.pid is None:
                break
            await asyncio.sleep(0.05)
        raise StartError(f"{self.name} did not get ready; its log: {self._log}")

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
