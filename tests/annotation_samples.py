"""Annotations as a hall's gateway makes them, for tests of the wire: apart from what devices send, whose heap is small.

Functions, not constants: each call gives fresh values that a test may spoil.
"""

from wire_samples import HALL, NAME, NOW_S, STREAM

from protocol import annotation, record


def not_adopted():
    """Claims of annotation kind 1."""
    return {annotation.REASON: annotation.MALICIOUS, annotation.AUTHOR: "S009"}


def adopted():
    """Claims of annotation kind 2."""
    return {annotation.AUTHOR: "S009"}


def time_estimate():
    """Claims of annotation kind 3, of a punch."""
    return {
        annotation.ESTIMATE: NOW_S,
        annotation.EARLIEST: NOW_S - 600,
        annotation.LATEST: NOW_S,
        annotation.RECORD_KIND: record.PUNCH,
        annotation.ANCHOR_STREAM: STREAM,
        annotation.ANCHOR_SEQ: 42,
    }


ANNOTATION_CLAIMS = {
    annotation.NOT_ADOPTED: not_adopted,
    annotation.ADOPTED: adopted,
    annotation.TIME_ESTIMATE: time_estimate,
}


def an_annotation(kind=annotation.NOT_ADOPTED, claims=None, **changes):
    """An annotation of a kind, claims full unless given. changes: attributes that shall differ."""
    made = annotation.Annotation(
        NAME,
        HALL,
        NOW_S,
        kind,
        STREAM,
        42,
        bytes(range(32)),
        ANNOTATION_CLAIMS[kind]() if claims is None else claims,
        7,
        bytes(range(32, 64)),
    )
    for name in changes:
        setattr(made, name, changes[name])
    return made
