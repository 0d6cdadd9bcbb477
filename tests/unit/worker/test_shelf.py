"""Which models stay loaded under a limit, and which go for another."""

from __future__ import annotations

from pathlib import Path

from headrace.gpu_worker.host.shelf import Shelf, Warm, Weights


def weights(model: str, sha256: str = "") -> Weights:
    return Weights(model, Path("weights") if sha256 else None, sha256=sha256)


def a_shelf(limit: int | None, **sizes: int) -> Shelf:
    """With these loaded in this order."""
    shelf = Shelf(limit)
    for model, size in sizes.items():
        shelf.put(Warm(weights(model), size, 0.1))
    return shelf


def models(shelf: Shelf) -> list[str]:
    return [warm.weights.model for warm in shelf]


def test_what_was_used_longest_ago_goes_first_and_no_more_than_must() -> None:
    shelf = a_shelf(100, one=40, two=40, three=40)
    shelf.use(weights("one"))

    assert models(shelf) == ["two", "three", "one"]
    assert shelf.beyond_limit(weights("one")) == ["two"]


def test_the_one_in_use_stays_also_when_it_is_the_oldest() -> None:
    shelf = a_shelf(100, one=90, two=5, three=20)

    assert shelf.beyond_limit(weights("one")) == ["two", "three"]


def test_room_is_made_before_a_load_for_what_is_known_to_need_it() -> None:
    shelf = a_shelf(100, one=40, two=40, three=40)
    shelf.drop("one")

    assert shelf.displaced_by(weights("one")) == ["two"]
    assert shelf.displaced_by(weights("never seen")) == []


def test_without_a_limit_nothing_goes() -> None:
    shelf = a_shelf(None, one=2**40, two=2**40)

    assert shelf.beyond_limit(weights("two")) == []
    assert shelf.displaced_by(weights("three")) == []


def test_what_is_too_large_alone_is_known_afterwards_and_displaces_nothing() -> None:
    shelf = a_shelf(100, one=40, huge=400)

    assert shelf.beyond_limit(weights("huge")) == ["huge"]
    shelf.drop("huge")

    assert not shelf.fits(weights("huge"))
    assert models(shelf) == ["one"]


def test_the_same_name_with_other_weights_is_another_model() -> None:
    shelf = Shelf(None)
    shelf.put(Warm(weights("digits@1", "aa"), 10, 0.1))

    assert shelf.use(weights("digits@1", "aa"))
    assert not shelf.use(weights("digits@1", "bb"))
    assert not shelf.has(weights("digits@1"))
    assert shelf.displaced_by(weights("digits@1", "bb")) == ["digits@1"]
