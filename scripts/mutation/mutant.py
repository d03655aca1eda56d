"""One small change of one source. Makes none and tests none."""

from dataclasses import dataclass

__all__ = ["Mutant"]


@dataclass(frozen=True)
class Mutant:
    """One change of one source: bytes `start` to `end` of `path` (relative, POSIX) become `new`."""

    operator: str
    path: str
    start: int
    end: int
    old: str
    new: str
    line: int

    @property
    def key(self) -> tuple[str, int, int, str]:
        """What tells it from every other mutant, whichever operator made it."""
        return self.path, self.start, self.end, self.new

    def applied(self, source: bytes) -> bytes:
        """The whole source with the change made."""
        return source[: self.start] + self.new.encode() + source[self.end :]

    def lines(self, source: bytes) -> tuple[str, str]:
        """The changed lines before and after, with single blanks."""
        first = source.rfind(b"\n", 0, self.start) + 1
        last = source.find(b"\n", self.end)
        after = source[first : self.start] + self.new.encode() + source[self.end : last]
        return " ".join(source[first:last].decode().split()), " ".join(after.decode().split())
