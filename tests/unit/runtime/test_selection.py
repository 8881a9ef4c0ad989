from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.names import quote, spell
from runtime.selection import parse

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
#: Few letters, so that patterns and names meet often.
words = st.text("ab", min_size=1, max_size=4)
wild = st.text("ab*?", min_size=1, max_size=5)


def naive(pattern: str, text: str) -> bool:
    """What * and ? mean, by definition."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive(pattern[1:], text) or (bool(text) and naive(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(wild, wild, words, words)
def test_stars_stand_for_any_text_and_question_marks_for_one_character(a: str, b: str, c: str, d: str) -> None:
    assert parse(f"{a}.{b}").matches(c, d) == (naive(a, c) and naive(b, d))


@given(names, names, names, names)
def test_a_spelled_name_matches_its_table_alone(a: str, b: str, c: str, d: str) -> None:
    assert parse(spell(a, b)).matches(a, b)
    assert parse(spell(a, b)).matches(c, d) == ((a, b) == (c, d))


@given(names, names)
def test_star_dot_star_matches_every_table(namespace: str, name: str) -> None:
    assert parse("*.*").matches(namespace, name)


@given(names, names)
def test_the_schema_is_known_unless_it_has_wildcards(namespace: str, name: str) -> None:
    assert parse(quote(namespace, name)).schema == namespace
    assert parse(f"x*.{quote(name)}").schema is None


def test_wildcards_in_quotes_are_characters() -> None:
    assert parse('public."a*"').matches("public", "a*")
    assert not parse('public."a*"').matches("public", "ab")


def test_patterns_are_case_sensitive() -> None:
    assert not parse("public.flights").matches("public", "Flights")
    assert parse("public.Flights").matches("public", "Flights")


def test_a_quoted_piece_may_be_followed_by_a_wildcard() -> None:
    assert parse('public."Odd "*').matches("public", "Odd Name")


def test_a_wildcard_matches_a_line_break_too() -> None:
    assert parse("public.*").matches("public", "a\nb")


@pytest.mark.parametrize("text", ["", "public", "a.b.c", "public.", ".x", "public.a b", 'public."x', "public.a\n"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse(text)
