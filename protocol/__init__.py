"""The wire of Hallseal, profile 1: pure Python for CPython 3.11+ and MicroPython 1.27+. `WIRE.md` is the specification."""
