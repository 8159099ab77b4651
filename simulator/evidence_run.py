"""The evidence of a demo's morning: exported and audited by the gateway's own commands, as anybody would."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

# A morning of 68 devices is exported and audited in two seconds; a machine under load takes longer.
COMMAND_TIMEOUT_S = 120
# Real seconds: a record that was on its way is there after a tenth of one.
ON_ITS_WAY_S = 2
# Exit statuses of the audit: something is wrong or missing; a command could not read its files, or did not end.
FINDINGS, UNUSABLE = 1, 2


@dataclass(frozen=True)
class Audited:
    """What the audit said: its lines, and its exit status (0 clean, 1 findings, 2 no audit)."""

    status: int
    lines: list[str]

    def shown(self) -> list[str]:
        """For the closing lines of a demo."""
        return [f"audit: {line.removeprefix('audit: ')}" for line in self.lines]


async def audit(hall: Path, scratch: Path) -> Audited:
    """Export the evidence of the hall in folder `hall` into `scratch`, and audit it with the hall's root alone.

    Its devices live on: a heartbeat may overtake the record that it names. What is found is looked for once more.
    """
    first = await _audit(hall, scratch / "morning.evidence")
    if first.status != FINDINGS:
        return first
    await asyncio.sleep(ON_ITS_WAY_S)
    return await _audit(hall, scratch / "morning-again.evidence")


async def _audit(hall: Path, bundle: Path) -> Audited:
    exported = await _run("export", str(bundle), "--config", str(hall / "gateway" / "gateway.toml"))
    if exported.status:
        return Audited(UNUSABLE, exported.lines)
    return await _run("audit", str(bundle), "--root", str(hall / "ca" / "root.pem"))


async def _run(*words: str) -> Audited:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway.cli", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        stdin=asyncio.subprocess.DEVNULL, start_new_session=True,  # Ctrl-C is the demo's
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), COMMAND_TIMEOUT_S)
    except (TimeoutError, asyncio.CancelledError) as error:
        process.kill()
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise
        return Audited(UNUSABLE, [f"{words[0]} did not end in {COMMAND_TIMEOUT_S} s"])
    return Audited(process.returncode or 0, said.decode(errors="replace").splitlines())
