"""What an installation without extras lacks, said in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from clicooper.errors import UsageError

__all__ = ["extra"]


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Imports in the block are of the extra ``clicooper[name]``.

    Raises:
        UsageError: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as e:
        hint = f"pip install 'clicooper[{name}]'"
        raise UsageError(f"this needs the package {e.name}, which is not installed", hint=hint) from e
