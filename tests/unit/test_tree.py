from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fsstore.tree import NONE, Tree


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[int], list[tuple[str, int]]]:
    """Draw the parents of up to 40 messages, and removals and clears of some."""
    count = draw(st.integers(0, 40))
    parents = [draw(st.integers(NONE, at - 1)) for at in range(count)]
    if not count:
        return [], []
    changes = draw(st.lists(st.tuples(st.sampled_from(("remove", "clear")), st.integers(0, count - 1)), max_size=12))
    return parents, changes


class Plain:
    """The same tree in the simplest words: a dict of parents, a set of the gone."""

    def __init__(self, parents: list[int], changes: list[tuple[str, int]]) -> None:
        self.parents = dict(enumerate(parents))
        self.gone: set[int] = set()
        for change, at in changes:
            self.gone.update({at} if change == "remove" else {at, *self.above(at)})

    def above(self, at: int) -> list[int]:
        found = []
        while (at := self.parents[at]) != NONE:
            found.append(at)
        return found

    def parent(self, at: int) -> int:
        return next((up for up in self.above(at) if up not in self.gone), NONE)

    def alive(self) -> list[int]:
        return [at for at in self.parents if at not in self.gone]


def grown(parents: list[int], changes: list[tuple[str, int]]) -> Tree:
    tree = Tree()
    for parent in parents:
        tree.leaf = tree.add(parent)
    for change, at in changes:
        getattr(tree, change)(at)
    return tree


@given(histories())
def test_every_question_is_answered_as_by_the_plain_tree(history: tuple[list[int], list[tuple[str, int]]]) -> None:
    tree, plain = grown(*history), Plain(*history)
    alive = plain.alive()
    assert len(tree) == len(history[0])
    assert tree.alive() == alive
    assert tree.count() == len(alive)
    assert [tree.parent(at) for at in alive] == [plain.parent(at) for at in alive]
    children: dict[int, list[int]] = {}
    for at in alive:
        children.setdefault(plain.parent(at), []).append(at)
    assert tree.children() == children
    assert tree.leaves() == [at for at in alive if at not in children]


@given(histories(), st.integers(0, 50))
def test_a_branch_is_the_way_up_from_the_nearest_survivor(history: tuple[list[int], list[tuple[str, int]]], limit: int) -> None:
    tree, plain = grown(*history), Plain(*history)
    for at in range(len(tree)):
        expected = [up for up in (*reversed(plain.above(at)), at) if up not in plain.gone]
        assert tree.branch(at) == expected
        assert tree.branch(at, limit) == expected[max(0, len(expected) - limit) :]
        assert tree.nearest(at) == (expected[-1] if expected else NONE)


@given(histories())
def test_the_current_leaf_is_the_last_mover_or_its_nearest_survivor(history: tuple[list[int], list[tuple[str, int]]]) -> None:
    tree = grown(*history)
    assert tree.current() == (tree.nearest(len(tree) - 1) if len(tree) else NONE)
    tree.leaf = NONE
    assert tree.current() == NONE
    assert tree.branch(tree.current()) == []


def test_removing_twice_counts_once_and_clearing_covers_the_removed() -> None:
    tree = grown([NONE, 0, 1, 1], [])
    tree.remove(1)
    tree.remove(1)
    assert (tree.count(), tree.parent(2), tree.parent(3)) == (3, 0, 0)
    tree.clear(2)
    tree.clear(2)
    assert tree.alive() == [3]
    assert tree.parent(3) == NONE


def test_clearing_goes_on_through_messages_removed_before() -> None:
    tree = grown([NONE, 0, 1, 2], [("remove", 1), ("clear", 3)])
    assert tree.alive() == []
    assert tree.count() == 0


def test_a_chain_of_many_needs_no_recursion() -> None:
    tree = grown([at - 1 for at in range(20_000)], [])
    assert tree.branch(19_999) == list(range(20_000))
    tree.clear(19_999)
    assert tree.count() == 0
