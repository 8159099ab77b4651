"""Merkle trees of RFC 6962 2.1: one hash that stands for a list in its order. Leaves and nodes can never pass for each
other, because each is hashed behind a byte of its own.
"""

import hashlib

_LEAF, _NODE = b"\0", b"\1"


class Tree:
    """The tree of a list that arrives entry by entry; memory grows with the logarithm of its length."""

    def __init__(self) -> None:
        self.count = 0
        self._full: list[bytes] = []  # roots of complete subtrees, the largest first: one for each bit of `count`

    def add(self, entry: bytes) -> None:
        """Append an entry."""
        node = hashlib.sha256(_LEAF + entry).digest()
        self.count += 1
        size = self.count
        while size % 2 == 0:
            node = hashlib.sha256(_NODE + self._full.pop() + node).digest()
            size //= 2
        self._full.append(node)

    def root(self) -> bytes:
        """32 bytes: the hash of the list so far; of an empty one that of no bytes."""
        if not self._full:
            return hashlib.sha256(b"").digest()
        node = self._full[-1]
        for left in reversed(self._full[:-1]):
            node = hashlib.sha256(_NODE + left + node).digest()
        return node


def root(entries: list[bytes]) -> bytes:
    """The root of a whole list."""
    tree = Tree()
    for entry in entries:
        tree.add(entry)
    return tree.root()
