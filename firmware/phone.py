"""A phone number for the follow-up of a bad rating, typed by whoever wants to be called back. Pure."""

# A number of the same town has 7 digits, a mobile one 11, one with area code up to 12.
DIGITS_MIN, DIGITS_MAX = 7, 12
DONE, DELETE = "#", "*"


class Phone:
    """digits: what was typed so far. is_complete: True once it was confirmed."""

    def __init__(self):
        self.digits = ""
        self.is_complete = False

    def key(self, char):
        """One key; True when it confirmed a whole number. More digits than a number has are not taken."""
        if char == DONE:
            self.is_complete = len(self.digits) >= DIGITS_MIN
        elif char == DELETE:
            self.digits = self.digits[:-1]
        elif len(self.digits) < DIGITS_MAX:
            self.digits += char
        return self.is_complete
