"""Writes the golden vectors of this folder anew: `python tests/vectors/generate.py`.

They change only with the wire, which is a new profile then. Everything comes from fixed keys and seeded randomness
(golden_messages.py and golden_keys.py beside this folder), so a second run writes the same bytes.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent), str(FOLDER.parent.parent)]

import golden_keys  # noqa: E402
import golden_messages  # noqa: E402
from suites import host_suite  # noqa: E402

from protocol import cbor  # noqa: E402

NOTE = "Made by tests/vectors/generate.py from fixed keys and seeded randomness. The keys are known: never use them."


def notation(value: object) -> str:
    """CBOR diagnostic notation (RFC 8949 section 8) of a value of the wire."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    if isinstance(value, list):
        return "[" + ", ".join(notation(item) for item in value) + "]"
    if isinstance(value, dict):
        # In the order of the encoding: 0 to 23, then -1 to -24.
        ordered = sorted(value.items(), key=lambda pair: pair[0] if pair[0] >= 0 else 100 - pair[0])
        return "{" + ", ".join(f"{key}: {notation(item)}" for key, item in ordered) + "}"
    return json.dumps(value, ensure_ascii=False)


def message_file(name: str) -> dict[str, object]:
    """What NAME.json holds."""
    values = golden_messages.make(name, host_suite)
    plain = values.get("payload", values["content"])
    return {"note": NOTE, **values, "notation": notation(cbor.decode(bytes.fromhex(plain)))}


def files() -> dict[str, str]:
    """{file name: text} of the whole folder."""
    suite = host_suite()
    content: dict[str, object] = {f"{name}.json": message_file(name) for name in golden_messages.NAMES}
    content["keys.json"] = {"note": NOTE, **golden_messages.keys(suite)}
    content["suite.json"] = {
        "note": "What golden_keys.row() makes of each key, by the package `cryptography`.",
        "rows": [" ".join(golden_keys.row(suite, index)) for index in range(golden_keys.KEYS)],
    }
    return {name: json.dumps(value, ensure_ascii=False, indent=1) + "\n" for name, value in content.items()}


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(name)
