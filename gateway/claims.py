"""Names of the clear claims, as the ledger, the time series and the page read them.

    rating  window, outcome ("rated" | "timed_out"), level 1..5 (only when rated), tags [int], mode ("visit" | "walk_up"),
            staff_level 1..5, delay_ms, staff
    punch   door, staff, direction ("auto" | "in" | "out"), score, time_s (UTC), method ("fingerprint")
    event   code, text, value, previous_stream (hex), previous_head
A claim that the device did not state is absent.
"""
