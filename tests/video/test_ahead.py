"""What is made in another thread comes in order, and ends when nobody wants it any more."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import count
from threading import Event

import pytest

from photochrom.video.ahead import ahead, while_wanted


class Thing:
    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


def test_items_come_in_order_from_another_thread():
    names = set()

    def items():
        for i in range(50):
            names.add(threading.current_thread().name)
            yield i

    assert list(ahead(items(), 3)) == list(range(50))
    assert names and threading.current_thread().name not in names


def test_an_error_comes_after_what_was_made_before_it():
    def items():
        yield 1
        raise ValueError("broken")

    got = ahead(items(), 3)
    assert next(got) == 1
    with pytest.raises(ValueError, match="broken"):
        next(got)


def test_closing_ends_the_source_and_closes_what_nobody_took():
    made, ended = [], Event()

    def items():
        try:
            for _ in count():
                made.append(Thing())
                yield made[-1]
        finally:
            ended.set()

    with closing(ahead(items(), 2)) as got:
        taken = next(got)
    assert ended.is_set()
    assert not taken.closed
    assert all(thing.closed for thing in made[1:])


def test_a_long_step_ends_when_its_own_source_is_told():
    stop, summed = Event(), []

    def long():
        yield 0
        summed.append(sum(while_wanted(count(), stop)))

    with closing(ahead(long(), 1, stop)) as got:
        next(got)
    assert not summed and stop.is_set()
