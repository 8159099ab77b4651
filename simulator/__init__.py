"""The hall without hardware: broker, devices on real MicroPython VMs, virtual fleets, central system, visitors."""
