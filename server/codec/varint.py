"""The variable-length integers of the protobuf wire."""


def varint(value: int) -> bytes:
    """Write an integer from 0, 7 bits a byte, the lowest first."""
    return _SHORT[value] if value < len(_SHORT) else _write(value)


def read_varint(data: bytes, first: int, stop: int) -> int | None:
    """Read an integer that fills `data[first:stop]`; None where none below 2**63 does."""
    value = 0
    for place in range(first, stop):
        byte = data[place]
        value |= (byte & 0x7F) << 7 * (place - first)
        if byte < 0x80:
            return value if place + 1 == stop and value < 2**63 else None
    return None


def _write(value: int) -> bytes:
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


# Lengths and steps are mostly below this: looked up, they cost a third.
_SHORT = [_write(value) for value in range(1 << 14)]
