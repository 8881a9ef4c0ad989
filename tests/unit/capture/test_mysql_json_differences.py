"""Differences of JSON values: what they make of a value is what the server selects of it; what does not fit is refused."""

from __future__ import annotations

import copy
import json
from random import Random

import pytest

from capture.sources.mysql.row_images import json_binary
from capture.sources.mysql.row_images.json_differences import applied
from tests.support.mysql_json import named, selected, shape, stored

REPLACE, INSERT, REMOVE = range(3)
DOCUMENT = named(a=1, bb=[1, "two", {}], **{"a b": named(x=None)}, é=2.5)


def packed(data: bytes) -> bytes:
    size = len(data)
    return (bytes([size]) if size < 0xFB else b"\xfc" + size.to_bytes(2, "little")) + data


def difference(operation: int, path: str, *values) -> bytes:
    return bytes([operation]) + packed(path.encode()) + b"".join(packed(stored(value)) for value in values)


def containers(value, path="$"):
    """Yield the containers of a value, each with its path as the server writes it."""
    if isinstance(value, dict | list):
        yield value, path
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from containers(child, path + step(name))


def step(name) -> str:
    if isinstance(name, int):
        return f"[{name}]"
    return f".{name}" if name.isidentifier() else f".{json.dumps(name, ensure_ascii=False)}"


def change(random: Random, document) -> bytes:
    """Change a document somewhere, and return the difference."""
    holder, path = random.choice(list(containers(document)))
    places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    operation = random.choice([REPLACE, INSERT, REMOVE] if places else [INSERT])
    value = random.choice([7, "text", None, [1, named(k="v")], named(a=[], bc=-40_000), 1 << 40, 0.5])
    if operation == REMOVE:
        del holder[place := random.choice(places)]
        return difference(REMOVE, path + step(place))
    if operation == REPLACE:
        holder[place := random.choice(places)] = value
    elif isinstance(holder, list):
        holder.insert(place := random.randint(0, len(holder)), value)
    else:
        place = random.choice([name for name in ("n", "new", 'q"', "a b", "ü", "z1") if name not in holder] or ["zz"])
        holder[place] = value
    return difference(operation, path + step(place), value)


def in_order(value):
    """Return a value with the keys of its objects in the server's order."""
    if isinstance(value, dict):
        return named(**{name: in_order(child) for name, child in value.items()})
    return [in_order(child) for child in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(100))
def test_differences_make_of_a_value_what_the_server_selects(seed):
    random = Random(seed)
    document = copy.deepcopy(DOCUMENT)
    old = stored(document)
    differences = b"".join(change(random, document) for _ in range(random.randint(1, 6)))
    assert json_binary.text(applied(old, differences)) == selected(in_order(document))


@pytest.mark.parametrize("seed", range(100))
def test_all_that_a_difference_does_not_name_stays_as_it_was(seed):
    value = shape(Random(seed))()
    old = stored(named(old=value, z=1))
    assert json_binary.text(applied(old, difference(REMOVE, "$.z"))) == selected(named(old=value))


def test_a_value_inserted_beyond_an_array_follows_its_last_one():
    assert json_binary.text(applied(stored([1]), difference(INSERT, "$[9]", 2))) == b"[1, 2]"


@pytest.mark.parametrize(
    "differences",
    [
        difference(REPLACE, "$.none", 1),
        difference(REPLACE, "$.bb[3]", 1),
        difference(REPLACE, "$.a[0]", 1),
        difference(REPLACE, "$.a.b", 1),
        difference(REPLACE, "$.bb.c", 1),
        difference(REPLACE, "$", 1),
        difference(REPLACE, "a", 1),
        difference(REPLACE, "$.a..b", 1),
        difference(REPLACE, "$.bb[last]", 1),
        difference(REPLACE, r'$."\q"', 1),
        difference(REPLACE, r'$."\ud800"', 1),
        difference(INSERT, f"$.bb[{10**30}]", 1),
        difference(INSERT, "$.a", 1),
        difference(INSERT, "$.none.x", 1),
        difference(REMOVE, "$.none"),
        difference(3, "$.a", 1),
        difference(REPLACE, "$.a", 1)[:-1],
        difference(REPLACE, "$.a", 1)[:2],
        difference(REPLACE, "$.a", 1) + b"\0",
        bytes([REPLACE]) + packed(b"$.\xff") + packed(stored(1)),
    ],
)
def test_what_does_not_fit_the_old_value_is_refused(differences):
    with pytest.raises(json_binary.JsonError):
        applied(stored(DOCUMENT), differences)


def test_damaged_differences_make_no_error_of_another_kind():
    random = Random(3)
    whole = difference(REPLACE, '$."a b".x', 1 << 40) + difference(INSERT, "$.bb[1]", [1, "b"])
    for _ in range(3_000):
        broken, at = bytearray(whole), random.randrange(len(whole))
        broken[at] ^= 1 << random.randrange(8)
        try:
            json_binary.text(applied(stored(DOCUMENT), bytes(broken)))
        except json_binary.JsonError:
            continue
