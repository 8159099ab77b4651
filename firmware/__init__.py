"""Firmware of both devices, for MicroPython 1.27+. Runs on CPython as well, where a simulation needs many devices."""
