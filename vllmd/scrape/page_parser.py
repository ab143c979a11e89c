"""The pages of one engine, one after the other: what has not changed is not taken apart again.

A page is some sixty families, each a few lines after its `# HELP`, and from one page to the next
most of them are the same, byte for byte.
"""

import attrs

from vllmd.scrape.families import Family, ParsedPage, parse_page

_HELP = b"\n# HELP "


@attrs.frozen
class _Block:
    """The lines from one `# HELP` up to the next, and what they are taken for alone."""

    text: bytes
    parsed: ParsedPage


class PageParser:
    """Does what `parse_page` does, for an engine."""

    def __init__(self, engine: str) -> None:
        self._engine = engine
        self._blocks: dict[bytes, _Block] = {}

    def parse(self, page: bytes) -> ParsedPage:
        """Take a page apart; a family that is as before is the same object.

        Raises: UnicodeDecodeError: the page is not UTF-8; the caller treats it as unreadable.
        """
        page.decode()
        before, self._blocks = self._blocks, {}
        first, *texts = (b"\n" + page).split(_HELP)
        if first.strip():
            return parse_page(page, self._engine)
        for text in texts:
            name = text.partition(b"\n")[0].partition(b" ")[0]
            if name in self._blocks:
                return self._whole(page)
            block = before.get(name)
            if block is None or block.text != text:
                block = _Block(text, parse_page(_HELP[1:] + text, self._engine))
                if not _stands_alone(block, name):
                    return self._whole(page)
            self._blocks[name] = block
        return _together([block.parsed for block in self._blocks.values()])

    def _whole(self, page: bytes) -> ParsedPage:
        """Take a page apart that is written in another way than one family after the other."""
        self._blocks = {}
        return parse_page(page, self._engine)


def _stands_alone(block: _Block, name: bytes) -> bool:
    """Tell whether the lines mean the same among others as alone: they are of that family only."""
    kinds = [line for line in block.text.split(b"\n") if line.startswith(b"# TYPE ")]
    return all(line.split(b" ")[2] == name for line in kinds) and all(
        family.name == name for family in block.parsed.families
    )


def _together(parts: list[ParsedPage]) -> ParsedPage:
    families: list[Family] = []
    rejected, newest, lora = 0, 0.0, None
    for part in parts:
        families += part.families
        rejected += part.rejected_lines
        if part.lora is not None and part.lora_at >= newest:
            newest, lora = part.lora_at, part.lora
    return ParsedPage(tuple(families), rejected, lora, newest)
