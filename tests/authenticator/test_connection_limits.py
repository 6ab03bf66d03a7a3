"""Who has to go for whom when there are too many connections, or when they hold too much."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rolecall.authenticator.connection_limits import ConnectionLimits


class One:
    """A connection."""

    def __init__(self, limits: ConnectionLimits[One], busy: bool = False) -> None:
        self.limits, self.busy, self.gone = limits, busy, False
        self.placed = limits.enter(self)

    def evict(self) -> None:
        self.gone = True


def test_strangers_go_first_the_longest_idle_before_the_others() -> None:
    limits: ConnectionLimits[One] = ConnectionLimits(most=4)
    known, first, second, third = (One(limits) for _ in range(4))
    limits.answered(known, trusted=True)
    limits.answered(first, trusted=False)
    One(limits)
    assert [one.gone for one in (known, first, second, third)] == [False, False, True, False]
    One(limits)
    assert [one.gone for one in (known, first, third)] == [False, False, True]
    assert len(limits) == 4


def test_who_is_owed_an_answer_goes_after_who_is_idle_and_a_stranger_before_who_is_known() -> None:
    limits: ConnectionLimits[One] = ConnectionLimits(most=3)
    idle_known, busy_stranger, busy_known = One(limits), One(limits, busy=True), One(limits, busy=True)
    limits.answered(idle_known, trusted=True)
    limits.answered(busy_known, trusted=True)
    newcomers = [One(limits, busy=True)]
    assert (idle_known.gone, busy_stranger.gone) == (True, False)
    newcomers.append(One(limits, busy=True))
    assert busy_stranger.gone
    assert not busy_known.gone
    for one in newcomers[:1]:
        limits.answered(one, trusted=True)
    for one in newcomers[1:]:
        limits.answered(one, trusted=True)
    # Everybody is known and owed an answer: then, and only then, a newcomer finds no place.
    assert not One(limits).placed
    assert limits.refused == 1


def test_who_holds_most_goes() -> None:
    limits: ConnectionLimits[One] = ConnectionLimits(max_held=100)
    small, large, other = One(limits), One(limits), One(limits)
    limits.holds(small, 10)
    limits.holds(large, 60)
    limits.holds(other, 30)
    assert not any(one.gone for one in (small, large, other))
    limits.holds(small, 11)
    assert (small.gone, large.gone, other.gone) == (False, True, False)
    assert limits.held == 41
    limits.leave(large)
    limits.leave(other)
    assert (limits.held, len(limits)) == (11, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60), st.booleans()), max_size=40))
def test_the_sums_are_right_whatever_happens(steps: list[tuple[int, int, bool]]) -> None:
    limits: ConnectionLimits[One] = ConnectionLimits(most=3, max_held=100)
    everybody: list[One] = []
    for which, count, trusted in steps:
        if which == 5 or not everybody:
            everybody.append(One(limits))
            continue
        one = everybody[which % len(everybody)]
        if one.gone or not one.placed:
            limits.leave(one)
        elif which == 4:
            one.gone = True
            limits.leave(one)
        else:
            limits.answered(one, trusted=trusted)
            limits.holds(one, count)
        present = [one for one in everybody if one.placed and not one.gone]
        assert set(limits.members()) == set(present)
        assert len(limits) == len(present) <= 3
        assert limits.held <= 100
    for one in everybody:
        limits.leave(one)
    assert (limits.held, len(limits)) == (0, 0)
