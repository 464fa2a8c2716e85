"""The frames that bots send all day, taken out of bytes without a protocol's help.

The law: a frame is taken here if it is whole, final, text, masked, without extension bits, and no longer than a
message may be. The first one that is not ends the taking, and everything from there on is for the websockets library's
own protocol: control frames, fragments, binary, what is cut off, what breaks the rules. Whoever takes frames here must
be in an open connection without extensions, and not in the middle of a fragmented message.

Source: RFC 6455, section 5.2.
"""

from __future__ import annotations

import struct

from websockets.frames import Opcode

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

_WHOLE_TEXT = 0x80 | Opcode.TEXT
_MASKED = 0x80
_SHORT, _WIDE, _WIDEST = 6, 8, 14
"""Bytes before the payload with each of the three ways to write a length; the last four are the mask."""
_length_of_wide = struct.Struct("!H").unpack_from
_length_of_widest = struct.Struct("!Q").unpack_from


def take_texts(data: memoryview, at: int, longest: int, texts: list[bytes]) -> int:
    """Append the payloads of the frames that begin at `at`, as far as the law goes; where the rest begins."""
    size = len(data)
    while at + _WIDEST <= size and data[at] == _WHOLE_TEXT:
        length = data[at + 1] - _MASKED
        begin = at + _SHORT
        if length == 126:
            begin = at + _WIDE
            (length,) = _length_of_wide(data, at + 2)
        elif length == 127:
            begin = at + _WIDEST
            (length,) = _length_of_widest(data, at + 2)
        end = begin + length
        if length < 0 or end > size or length > longest:
            break
        texts.append(apply_mask(data[begin:end], bytes(data[begin - 4 : begin])))
        at = end
    return at


def frame_end(data: memoryview, at: int, longest: int) -> int:
    """Where any masked frame ends that begins at `at`, or at least would; -1 for one that cannot be."""
    room = len(data) - at
    if room < 2:
        return at + 2
    length = data[at + 1] - _MASKED
    if not 0 <= length <= 127:
        return -1
    if length < 126:
        return at + _SHORT + length
    begin, unpack = (_WIDE, _length_of_wide) if length == 126 else (_WIDEST, _length_of_widest)
    if room < begin - 4:
        return at + begin - 4
    (length,) = unpack(data, at + 2)
    return at + begin + length if length <= longest else -1
