"""Which words stand for a picture: those of its name, and those that people also use for it."""

from collections.abc import Sequence
from typing import Final

from headrace.engines.image.words import tokens

# Tags too broad to call one picture to mind, or about something else than what is seen.
_BROAD: Final = frozenset(
    tokens(
        "143 face animal animals food emotion weather person omg no way totally ily adorbs zoo "
        "small big black white red blue green yellow orange purple pink brown grey large tiny "
        "breakfast cost 8 xd up down eye left right tilted"
    )
)
_EXTRA: Final = {
    "automobile": ["car"],
    "racing car": ["race", "car"],
    "sport utility vehicle": ["car", "suv", "jeep"],
    "ogre": ["monster"],
    "alien monster": ["invader", "space"],
    "honeybee": ["bee"],
    "lady beetle": ["ladybug", "ladybird"],
    "T-Rex": ["dinosaur", "trex", "rex"],
    "sauropod": ["dinosaur"],
    "hot beverage": ["coffee", "tea", "cup"],
    "soccer ball": ["football"],
    "wrapped gift": ["present", "box"],
    "jack-o-lantern": ["pumpkin", "halloween"],
    "pile of poo": ["poop"],
    "closed book": ["red"],
    "high voltage": ["lightning", "bolt"],
    "airplane": ["plane", "jet"],
    "flying saucer": ["ufo"],
    "evergreen tree": ["pine", "fir"],
    "bug": ["caterpillar"],
    "spiral shell": ["seashell"],
    "gem stone": ["diamond"],
    "beaming face with smiling eyes": ["smiley", "happy"],
    "grinning face": ["smiley", "happy"],
    "smiling face with smiling eyes": ["smiley", "happy"],
}


def words_of(label: str, tags: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The words of the name, and the other words, without repeats."""
    name = _once(word for word in tokens(label) if word != "and")
    loose = [word for tag in tags if " " not in tag for word in tokens(tag)]
    kept = [word for word in loose if word not in _BROAD]
    others = _once(word for word in [*_EXTRA.get(label, []), *kept] if word not in name)
    return name, others


def _once(words: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))  # type: ignore[call-overload,no-any-return] # any iterable of str
