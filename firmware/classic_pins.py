"""Where a classic ESP32 has what an ESP32-S3 has elsewhere. One table, so that one carrier board fits both devices."""

# GPIO of an ESP32-S3 -> GPIO of an ESP32. HARDWARE.md says what is on each, and which of them want a resistor.
# fmt: off
PINS = {
    4: 13, 5: 14, 6: 27, 7: 26, 8: 17, 9: 35, 10: 21, 11: 22, 12: 19, 13: 23, 14: 5, 15: 25, 16: 33, 17: 32, 18: 16,
    21: 18, 38: 15, 39: 34, 40: 36, 41: 39, 47: 4,
}
# fmt: on
