"""Interrupts that the code in between swallows."""

import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from clicooper.cli.interrupt import InterruptHandler, raise_if_interrupted
from clicooper.cli.output import Output


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("output", [Output(), Output(quiet=True)], ids=["lines", "quiet"])
def test_interrupt_that_a_library_swallowed_ends_the_work_at_its_next_step(output: Output) -> None:
    InterruptHandler().install()
    with output.progress() as show:
        show("training", 0, 3)
        with suppress(BaseException):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            show("training", 1, 3)


def test_interrupt_is_raised_where_it_arrives() -> None:
    InterruptHandler().install()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_nothing_is_raised_without_an_interrupt_or_without_the_handler() -> None:
    raise_if_interrupted()
    InterruptHandler().install()
    raise_if_interrupted()
    assert not signal.getsignal(signal.SIGINT).was_interrupted


def test_process_told_to_ignore_interrupts_goes_on_ignoring_them() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    InterruptHandler().install()
    signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
