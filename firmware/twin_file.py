"""A small file kept in two copies, so that a power cut in the middle of a change leaves the older one whole."""

import binascii

# generation (4 bytes), CRC-32 of what follows (4 bytes), content.
_HEAD_BYTES = 8
CONTENT_BYTES_MAX = 4096  # a roster of one message is the largest


class TwinFile:
    """path: without ending; the copies are path + ".0" and ".1". content: bytes, b"" before the first store()."""

    def __init__(self, path):
        self._path = path
        self._generation = 0
        self.content = b""
        for copy in (".0", ".1"):
            self._load(path + copy)

    def _load(self, path):
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return
        generation = int.from_bytes(data[:4], "big")
        whole = len(data) >= _HEAD_BYTES and binascii.crc32(data[:4] + data[8:]) == int.from_bytes(data[4:8], "big")
        if whole and generation > self._generation:
            self._generation, self.content = generation, data[8:]

    def store(self, content):
        """Durable on return. Raises ValueError when the content is too long, OSError when the flash fails."""
        if len(content) > CONTENT_BYTES_MAX:
            raise ValueError("content")
        generation = (self._generation + 1).to_bytes(4, "big")
        crc = binascii.crc32(generation + content).to_bytes(4, "big")
        with open(self._path + ".%d" % (self._generation & 1), "wb") as file:  # the copy that is not the newest
            file.write(generation + crc + content)
        self._generation += 1
        self.content = content
