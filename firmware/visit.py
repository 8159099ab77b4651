"""A visit as the evaluator knows it: who is asked for what, and until when. Pure."""

from protocol import command, rating


class Visit:
    """An open visit: claims of its evaluation request, and when the question was shown (uptime). timeout_s: how long it
    is asked for when the request does not say.
    """

    def __init__(self, claims, asked_ms, timeout_s):
        self.number = claims[command.VISIT]
        self.staff = claims.get(command.STAFF)
        self.ends_ms = asked_ms + 1000 * claims.get(command.TIMEOUT_S, timeout_s)
        self.applicant = claims.get(command.APPLICANT)
        self.asked_ms = asked_ms


def claims_of(visit, device):
    """(claims, redactable) that a rating has whatever its outcome is. visit: the open one, or None for a walk-up."""
    staff = (visit and visit.staff) or device.settings.get(command.STAFF_NUMBER)
    claims = {rating.WINDOW: device.place, rating.MODE: rating.VISIT_MODE if visit else rating.WALK_UP}
    redactable = {}
    if staff:
        claims[rating.STAFF] = staff
    occasion = [device.wall_clock.now_s(), visit.number if visit else ""]
    if occasion != [0, ""]:
        redactable[rating.OCCASION] = occasion
    if visit:
        claims[rating.DELAY_MS] = device.uptime.ms() - visit.asked_ms
        if visit.applicant:
            redactable[rating.IDENTITY] = visit.applicant
    return claims, redactable


def number_in(redactable):
    """The visit number in what claims_of() gave; "" for a walk-up."""
    return redactable.get(rating.OCCASION, (0, ""))[1]


def with_phone(redactable, digits):
    """`redactable` with a typed phone number in the identity; what the visit brought stays."""
    identity = dict(redactable.get(rating.IDENTITY, {}))
    identity[rating.PHONE] = digits
    changed = dict(redactable)
    changed[rating.IDENTITY] = identity
    return changed
