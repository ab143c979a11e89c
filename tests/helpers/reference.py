"""What an output becomes in a file, written down a second time and slowly, byte by byte."""

ESCAPE, RETURN = 0x1B, 0x0D
MASK = b"********"


def normalised(printed: bytes, secrets: tuple[str, ...] = ()) -> bytes:
    """Return the lines that a log holds after an engine printed this."""
    if printed and not printed.endswith(b"\n"):
        printed += b"\n"
    return b"".join(_line(line, secrets) + b"\n" for line in printed.split(b"\n")[:-1])


def _line(line: bytes, secrets: tuple[str, ...]) -> bytes:
    text = _uncoloured(line)
    while text and text[-1] == RETURN:
        text = text[:-1]
    shown = bytearray()
    for byte in text:
        if byte == RETURN:
            shown.clear()
        else:
            shown.append(byte)
    result = b"".join(_visible(byte) for byte in shown)
    for secret in sorted(secrets, key=len, reverse=True):
        result = result.replace(secret.encode(), MASK)
    return result


def _visible(byte: int) -> bytes:
    if byte == 127 or (byte < 32 and byte not in b"\t\n\r"):
        return f"\\x{byte:02x}".encode()
    return bytes([byte])


def _uncoloured(line: bytes) -> bytes:
    """Leave out colours and cursor movements: ESC [ … letter."""
    kept, position = bytearray(), 0
    while position < len(line):
        if line[position] == ESCAPE and line[position + 1 : position + 2] == b"[":
            end = position + 2
            while end < len(line) and not 0x40 <= line[end] <= 0x7E:
                end += 1
            position = end + 1
        else:
            kept.append(line[position])
            position += 1
    return bytes(kept)
