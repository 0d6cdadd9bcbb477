"""Errors of one cause look alike, however different the jobs that met them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.fingerprint import LONGEST_TITLE, cause, fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("job 4f1c2d3e-0b6c-4a57-9c2f-0d9a4c1b7a11 broke", "job 0b6c1f0e-6b1d-4a57-9c2f-0d9a4c1b7a12 broke"),
        ("tried to allocate 2.50 GiB on GPU 3", "tried to allocate 13.00 GiB on GPU 0"),
        ("no such file: /data/models/a.bin", "no such file: /home/x/cache/b.bin"),
        ("at 0x7f3a2b and 0x1", "at 0xdeadbeef and 0x2"),
        ("GET https://a.example/x?y=1 failed", "GET https://b.example/ failed"),
        ("  File   1", "File 2  "),
        ("blob 9f86d081884c7d65 is gone", "blob 60303ae22b998861 is gone"),
    ],
)  # fmt: skip
def test_ids_numbers_and_paths_do_not_tell_errors_apart(one: str, other: str) -> None:
    assert cause(one) == cause(other)


def test_words_do() -> None:
    assert cause("CUDA out of memory") != cause("the disk is full")


def test_only_the_first_lines_count_and_no_more_than_people_read() -> None:
    assert cause("a\n\nb\nc\nd") == "a / b / c"
    assert len(cause("x" * 10_000)) == LONGEST_TITLE


def test_a_fingerprint_keeps_its_parts_apart() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    assert len(fingerprint("a")) == 16


@given(st.text())
def test_any_text_has_a_cause_and_it_is_its_own(text: str) -> None:
    found = cause(text)

    assert len(found) <= LONGEST_TITLE
    assert fingerprint(found) == fingerprint(cause(text))
