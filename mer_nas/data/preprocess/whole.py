"""Whether the bytes of an image file are all there, told before a decoder sees them.

A decoder makes a picture of half a JPEG without complaint, and takes room for whatever length a
part of a PNG claims. So the parts of a file are walked through, by the lengths that they state
themselves, up to the mark that ends the image. What cameras append behind it does no harm.
"""

MAX_SCANS = 100
"""Passes over a JPEG's picture: encoders make about 10, and each takes as long as an image."""

_LONE = frozenset({0x01, *range(0xD0, 0xD8)})
"""Marks of a JPEG behind which no length stands."""


def is_cut(content: bytes) -> bool:
    """Return whether an image is cut off, as far as its kind of file tells that by its bytes."""
    if content[:2] == b"\xff\xd8":
        return content.find(b"\xff\xd9", _picture(content)) < 0
    if content[:4] == b"\x89PNG":
        return _cut_png(content)
    return content[:2] == b"BM" and int.from_bytes(content[2:6], "little") > len(content)


def is_endless(content: bytes) -> bool:
    """Return whether a JPEG goes over its picture again and again, to take time."""
    if content[:2] != b"\xff\xd8":
        return False
    return content.count(b"\xff\xda", _picture(content)) > MAX_SCANS


def _picture(content: bytes) -> int:
    """Return where in a JPEG the picture begins, behind its preview; the end where there is none.

    From there on two bytes that look like a mark are one.
    """
    at = 2
    while (at := content.find(b"\xff", at)) >= 0 and at + 4 <= len(content):
        mark = content[at + 1]
        if mark in (0xD9, 0xDA):  # its end, or the first pass over it
            return at
        if mark == 0xFF:
            at += 1
        elif mark in _LONE or mark == 0:
            at += 2
        else:
            at += 2 + int.from_bytes(content[at + 2 : at + 4], "big")
    return len(content)


def _cut_png(content: bytes) -> bool:
    at = 8
    while at + 12 <= len(content):
        kind = content[at + 4 : at + 8]
        at += 12 + int.from_bytes(content[at : at + 4], "big")
        if kind == b"IEND":
            return at > len(content)
    return True
