"""The wire of Hallseal, profile 1. Runs unchanged on CPython 3.11+ and MicroPython 1.27+; specified in WIRE.md."""
