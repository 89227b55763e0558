"""An answer line by line, while it comes.

Lines end at a line feed only: JSON has the other ends of lines that Unicode knows in its texts, as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator


class LineReader:
    """Collects text until a line is whole."""

    def __init__(self) -> None:
        self._begun: list[str] = []

    def feed(self, text: str) -> Iterator[str]:
        """Take some text; the lines that it completed, without their ends."""
        *ends, begun = text.split("\n")
        for end in ends:
            self._begun.append(end)
            yield self.rest()
        self._begun.append(begun)

    def rest(self) -> str:
        """The line that has begun, as far as it is there."""
        line, self._begun = "".join(self._begun), []
        return line.removesuffix("\r")


def lines(texts: Iterable[str]) -> Iterator[str]:
    """The lines in text that comes in pieces; a last one needs no end."""
    reader = LineReader()
    for text in texts:
        yield from reader.feed(text)
    if rest := reader.rest():
        yield rest


async def lines_to_come(texts: AsyncIterable[str]) -> AsyncIterator[str]:
    """The same, for programs that run an event loop."""
    reader = LineReader()
    async for text in texts:
        for line in reader.feed(text):
            yield line
    if rest := reader.rest():
        yield rest
