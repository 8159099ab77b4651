"""For every rule a message that trips it: made by a real device, with a rating of any level where a rating can."""

from attacks import ATTACKS, Attacks
from sealing_device import MORNING_S, SUITE

from gateway import rules
from gateway.admission import STREAMS_NAMED_MAX
from gateway.matter import Item, LibraryItem, Matter
from gateway.rule_settings import USUAL
from gateway.visit_settling import LATE_S
from gateway.visits import NETWORK_ALLOWANCE_S
from protocol import event, rating, record

# A tag in force of each level, and one that is retired.
IN_FORCE = {1: 111, 2: 211, 3: 311, 4: 411, 5: 511}
RETIRED = {1: 107, 2: 206, 3: 306, 4: 405, 5: 509}
# Codes that other records than ratings earn: no level can have to do with it.
WITHOUT_RATING = {"staff_unknown", "punch_again", "two_doors", "reopened", "previous_differs", "streams", "replayed"}
# Codes that bad levels alone can earn.
BAD_ONLY = {"reason_missing"}

# The items of the hall: one in use, one no longer.
LIBRARY = {
    "7" * 31: LibraryItem(Item("7" * 31, "食品经营许可", "SP01"), True),
    "9" * 31: LibraryItem(Item("9" * 31, "旧事项"), False),
}


class Trips:
    """Methods named after a rule let the hall take what comes before, and return the message that trips it, or (device,
    message, on, retained) where it is no message of `device`.

    device: an evaluator that nobody else uses. clocks: two, of two doors.
    """

    def __init__(self, hall, device, level, clocks):
        self.hall, self.device, self.level, self.clocks = hall, device, level, clocks
        self.visit = f"A-{level}"

    def trip(self, name):
        """The message of that name, one of TRIPS."""
        if name in ATTACKS:
            topic, message, retained = getattr(Attacks(self.hall, self.level, self.device.name), name)()
            return self.device, message, topic, retained
        made = getattr(self, name)()
        return made if isinstance(made, tuple) else (self.device, made, None, False)

    def before(self, *messages):
        self.hall.take(*((self.device, message) for message in messages))

    def rated(self, **more):
        """A rating of the stream that is under way."""
        if not self.device.seq:
            self.before(self.device.opened())
        return self.device.rating(self.level, **more)

    def bare(self, claims=(), redactable=None, **more):
        """A rating that discloses no occasion unless told."""
        if not self.device.seq:
            self.before(self.device.opened())
        claims = {**self.device.rating_claims(self.level), **dict(claims)}
        return self.device.seal(*self.device.make(record.RATING, claims, redactable=redactable, **more))

    def booted_at(self, at_s):
        self.device.boot, self.device.booted_s = SUITE.random_bytes(8), at_s

    # Messages.

    def duplicate(self):
        message = self.rated()
        self.before(message)
        return message

    def equivocation(self):
        self.before(self.device.opened())
        seq, prev = self.device.seq, self.device.prev
        self.before(self.device.rating(5))
        self.device.seq, self.device.prev = seq, prev
        return self.device.rating(self.level, at_s=MORNING_S - 900)

    def replayed(self):
        old, new = self.device.heartbeat(), self.device.heartbeat()
        self.before(new)
        return old

    def internal(self):
        opener, made = self.hall.intake._opener, self.rated()
        sound = opener._facts

        def fail():
            opener._facts = sound
            raise ZeroDivisionError

        opener._facts = fail
        return made

    # Place and clock.

    def window(self):
        return self.rated(claims={rating.WINDOW: "77"})

    def no_clock(self):
        return self.bare(source=0)

    def clock_ahead(self):
        return self.rated(at_s=MORNING_S + 7200)

    def before_build(self):
        self.booted_at(USUAL.earliest_s - 7200)
        return self.bare(at_s=USUAL.earliest_s - 3600)

    def late(self):
        return self.rated(at_s=MORNING_S - 2 * 24 * 3600)

    def time_differs(self):
        return self.bare(redactable={rating.OCCASION: [MORNING_S - 3600, ""]})

    def clock_stepped(self):
        self.before(self.rated())
        return self.bare(uptime_ms=900_000)

    # Ratings.

    def reason_missing(self):
        return self.rated()

    def tag_level(self):
        return self.rated(claims={rating.TAGS: [IN_FORCE[self.level % 5 + 1]]})

    def tag_retired(self):
        return self.rated(claims={rating.TAGS: [RETIRED[self.level]]})

    def quick(self):
        return self.rated(claims={rating.DELAY_MS: USUAL.quick_ms - 1})

    def burst(self):
        self.before(*(self.rated(at_s=MORNING_S + at) for at in range(USUAL.burst_minute)))
        return self.rated(at_s=MORNING_S + 59)

    def level_run(self):
        times = [MORNING_S - 120 * back for back in range(USUAL.level_run)]
        self.before(*(self.rated(at_s=at_s) for at_s in reversed(times[1:])))
        return self.rated(at_s=times[0])

    # Visits.

    def visit_missing(self):
        return self.bare(claims={rating.MODE: rating.VISIT_MODE})

    def visit_unknown(self):
        return self.rated(visit="never opened")

    def opened(self, window=None, **more):
        self.hall.visits.open(window or self.device.place, self.visit, **more)

    def visit_again(self):
        self.opened()
        self.before(self.rated(visit=self.visit))
        return self.rated(visit=self.visit)

    def visit_closed(self):
        self.opened()
        self.hall.visits.cancel(self.visit)
        return self.rated(visit=self.visit)

    def visit_superseded(self):
        self.opened()
        self.hall.visits.open(self.device.place, "the next " + self.visit)
        return self.rated(visit=self.visit)

    def visit_late(self):
        self.opened(timeout_s=5)
        return self.rated(visit=self.visit, at_s=MORNING_S + 5 + NETWORK_ALLOWANCE_S + LATE_S + 1)

    def visit_other_window(self):
        self.opened("99")
        return self.rated(visit=self.visit)

    # What a visit is said to be about.

    def about(self, applicant=None, **said):
        self.opened(applicant=applicant, about=Matter(item=Item(**said)))
        return self.rated(visit=self.visit)

    def item_code(self):
        return self.about(code="1" * 32)

    def item_unknown(self):
        return self.about(code="8" * 31)

    def item_inactive(self):
        return self.about(code="9" * 31)

    def item_differs(self):
        return self.about(code="7" * 31, name="别的名称")

    def department_differs(self):
        return self.about(code="7" * 31, department_code="SP02")

    def credit_code(self):
        return self.about(credit_code="91350100M000100Y40")

    def item_words(self):
        return self.about({"name": "欧阳娜娜"}, name="欧阳娜娜的证")

    # Punches.

    def punched(self, clock, message):
        self.hall.take((clock, message))

    def staff_unknown(self):
        clock = self.clocks[0]
        self.punched(clock, clock.opened())
        return clock, clock.punch("S999"), None, False

    def punch_again(self):
        clock = self.clocks[0]
        self.punched(clock, clock.opened())
        self.punched(clock, clock.punch("S001"))
        return clock, clock.punch("S001", MORNING_S + USUAL.punch_again_s - 1), None, False

    def two_doors(self):
        first, second = self.clocks
        self.punched(second, second.opened())
        self.punched(second, second.punch("S001"))
        self.punched(first, first.opened())
        return first, first.punch("S001", MORNING_S + USUAL.two_doors_s - 1), None, False

    # Streams.

    def gap(self):
        self.before(self.device.opened())
        self.device.event()
        return self.rated()

    def unopened(self):
        return self.device.rating(self.level)

    def reopened(self):
        self.before(self.device.opened())
        before = self.device.stream
        self.device.open_stream()
        return self.device.opened(previous=(before, 1))

    def previous_differs(self):
        return self.device.opened(previous=(b"8 bytes!", 40))

    def streams(self):
        self.before(self.device.opened())
        for number in range(STREAMS_NAMED_MAX):
            self.before(self.device.heartbeat(STREAM=number.to_bytes(8, "big"), HEAD=9))
        self.device.open_stream()
        return self.device.opened(previous=(b"8 bytes!", 40))

    def chain(self):
        self.before(self.device.opened(), self.device.event(event.BOOT))
        self.device.prev = bytes(15) + b"x"
        return self.rated()


# Name of a message -> the rule that it trips.
TRIPS = {**ATTACKS, **{name: name for name in vars(Trips) if name in rules.RULES}}
