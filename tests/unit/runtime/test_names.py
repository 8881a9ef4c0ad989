from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import BadInput
from runtime.names import RESERVED, parse_name, quote, spell, visible

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
plain_looking = st.from_regex(r"[a-z_][a-z0-9_$]{0,8}", fullmatch=True) | st.sampled_from(sorted(RESERVED))


@given(names | plain_looking, names | plain_looking)
def test_a_spelled_name_is_read_back_as_the_same_name(namespace: str, name: str) -> None:
    assert parse_name(spell(namespace, name)) == (namespace, name)


@given(names | plain_looking, names | plain_looking, names | plain_looking, names | plain_looking)
def test_two_tables_never_share_a_spelling(a: str, b: str, c: str, d: str) -> None:
    assert (spell(a, b) == spell(c, d)) == ((a, b) == (c, d))


@pytest.mark.parametrize(
    ("namespace", "name", "spelled"),
    [
        ("public", "flights", "public.flights"),
        ("public", "Odd Name", 'public."Odd Name"'),
        ("public", "Flights", 'public."Flights"'),
        ("select", "user", '"select"."user"'),
        ("a.b", 'say "hi"', '"a.b"."say ""hi"""'),
        ("public", "1st", 'public."1st"'),
        ("public", "", 'public.""'),
        ("public", "t$1", "public.t$1"),
    ],
)
def test_names_are_quoted_only_where_sql_needs_it(namespace: str, name: str, spelled: str) -> None:
    assert spell(namespace, name) == spelled


def test_an_unquoted_name_keeps_its_capitals() -> None:
    assert parse_name("public.Flights") == ("public", "Flights")


@pytest.mark.parametrize(
    "text", ["", "flights", "a.b.c", "public.", ".flights", 'public."x', "public.a b", "a..b", '"a"b.c']
)
def test_what_is_not_two_names_is_refused_with_the_spelling_to_use(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_name(text)

    assert "<schema>.<table>" in caught.value.fix


def test_quoting_doubles_quotes_and_joins_with_dots() -> None:
    assert quote("public", 'a"; DROP TABLE x; --') == '"public"."a""; DROP TABLE x; --"'


def test_a_name_with_a_nul_is_refused() -> None:
    with pytest.raises(BadInput):
        quote("a\0b")


@given(st.text(max_size=20))
def test_visible_text_cannot_break_a_log_line(text: str) -> None:
    assert len(visible(text).splitlines()) <= 1
    assert not any(ord(character) < 32 for character in visible(text))
