"""How a prompt becomes numbers: which words count, and which side of the picture they speak about.

Training and drawing share this module, so that the model reads a prompt exactly as it was taught.
A scene has a left and a right half. A prompt with one subject gives both halves the same words;
"a cat and a dog" gives each half its own. Within a half the order of words does not matter.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

COLOURS: Final = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "grey",
    "black",
    "white",
)
BACKGROUNDS: Final = (*COLOURS, "night", "sunset", "rainbow")

_SAME: Final[Mapping[str, str]] = {
    "gray": "grey",
    "violet": "purple",
    "tiny": "small",
    "little": "small",
    "huge": "big",
    "large": "big",
    "giant": "big",
    "flipped": "mirrored",
    "reversed": "mirrored",
    "inverted": "upside-down",
    "rotated": "tilted",
    "leaning": "tilted",
    "backdrop": "background",
}
_WORD: Final = re.compile(r"[a-z0-9]+(?:['\u2019-][a-z0-9]+)*")
_STOP: Final = frozenset(
    _WORD.findall(
        "a an the of on in at to is it with by for from over under behind front some very please"
        " draw paint show me picture image emoji icon drawing photo this that its his her my your"
        " no background"
    )
)
_SPLIT: Final = re.compile(r"\band\b|\bnext to\b|\bbeside\b|&|\+|,|;")
_BACKGROUND: Final = re.compile(
    rf"\b(?:(?:on|in|over|against|before)\s+(?:front of\s+)?)?(?:an?\s+|the\s+)?"
    rf"({'|'.join((*BACKGROUNDS, 'gray', 'violet'))})\s+(?:background|backdrop|sky)\b"
)
_AT: Final = re.compile(r"\b(?:at|in the|during)\s+(?:the\s+)?(night|sunset)\b")

WORDS_PER_HALF: Final = 12


def tokens(text: str) -> list[str]:
    """The words of a text that may mean something, each in its plain form."""
    found = (_SAME.get(word, word) for word in _WORD.findall(text.lower()))
    return [word for word in found if word not in _STOP]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a prompt asks for: one subject or two side by side, and what is behind them."""

    halves: tuple[tuple[str, ...], ...]
    background: str | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """A scene as the model takes it: word numbers and their weights, for the left and right half."""

    ids: NDArray[np.int64]
    weights: NDArray[np.float32]


class Vocabulary:
    """The words that the model was taught, by their number."""

    def __init__(self, words: Iterable[str]) -> None:
        self.words = tuple(words)
        self._number = {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def known(self, prompt: str) -> list[str]:
        """The words of the prompt that the model will listen to, in its own spelling."""
        scene = self.read(prompt)
        spoken = [word for half in scene.halves for word in half]
        if scene.background is not None:
            spoken.append(f"{scene.background} background")
        return list(dict.fromkeys(spoken))

    def read(self, prompt: str) -> Scene:
        """The scene a prompt describes; words that the model was not taught are left out."""
        text = prompt.lower().replace("upside down", "upside-down")
        text, background = _take_background(text)
        halves = [self._teachable(part) for part in _SPLIT.split(text)]
        named = [half for half in halves if half]
        if len(named) == 2 and not all(map(self._has_subject, named)):  # noqa: PLR2004 -- left and right
            named = [(*named[0], *named[1])]
        return Scene(tuple(named[:2]), background)

    def encode(self, scene: Scene) -> Encoded:
        """Subject words share one unit of weight; every attribute has a whole one."""
        ids = np.zeros((2, WORDS_PER_HALF), np.int64)
        weights = np.zeros((2, WORDS_PER_HALF), np.float32)
        for side in range(2):
            for place, (word, weight) in enumerate(_weighed(scene, side)[:WORDS_PER_HALF]):
                ids[side, place], weights[side, place] = self._number[word], weight
        return Encoded(ids, weights)

    def _teachable(self, text: str) -> tuple[str, ...]:
        plain = (self._plain(word) for word in tokens(text))
        return tuple(dict.fromkeys(word for word in plain if word is not None))

    def _plain(self, word: str) -> str | None:
        for form in _forms(word):
            if form in self._number:
                return form
        return None

    def _has_subject(self, words: tuple[str, ...]) -> bool:
        return any(word not in ATTRIBUTES for word in words)


ATTRIBUTES: Final = frozenset((*COLOURS, "small", "big", "mirrored", "upside-down", "tilted"))


def attribute_words() -> list[str]:
    """Every word that is not learned from the pictures' names, layouts and backgrounds included."""
    backgrounds = [f"background:{name}" for name in BACKGROUNDS]
    return [*sorted(ATTRIBUTES), *backgrounds, "layout:whole", "layout:left", "layout:right"]


def _take_background(text: str) -> tuple[str, str | None]:
    for pattern in (_BACKGROUND, _AT):
        if found := pattern.search(text):
            name = found.group(1)
            return pattern.sub(" ", text, count=1), _SAME.get(name, name)
    return text, None


def _weighed(scene: Scene, side: int) -> list[tuple[str, float]]:
    if not scene.halves and scene.background is None:
        return []
    halves = scene.halves or ((),)
    words = halves[min(side, len(halves) - 1)]
    subject = [word for word in words if word not in ATTRIBUTES]
    layout = "layout:whole" if len(halves) == 1 else ("layout:left", "layout:right")[side]
    marks = [layout, *(word for word in words if word in ATTRIBUTES)]
    if scene.background is not None:
        marks.append(f"background:{scene.background}")
    share = len(subject) ** -0.5 if subject else 0.0
    return [*((word, 1.0) for word in marks), *((word, share) for word in subject)]


def _forms(word: str) -> Iterable[str]:
    yield word
    if word.endswith("ies"):
        yield f"{word[:-3]}y"
    if word.endswith("es"):
        yield word[:-2]
    if word.endswith("s"):
        yield word[:-1]
    yield f"{word}s"
