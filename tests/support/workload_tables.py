"""The tables of the mixed workload, and what a transaction may do to each of them. Every choice is a seeded random one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from random import Random

    import psycopg

ACCOUNTS: Final = 20
#: What all accounts of the ledger hold together, always.
TOTAL: Final = ACCOUNTS * 100
#: A table that grew without end would make every version of it larger than the one before.
MOST_COLUMNS: Final = 60
#: Larger than a page, so that it is stored apart and an UPDATE of other columns does not send it.
LONG: Final = 9_000

ODD: Final = '"Odd ""Name""; x.y"'

#: ``ledger`` and ``counter`` are what an invariant reader looks at; account 0 holds the number of the ledger's newest
#: transaction.
SCHEMA: Final = f"""
CREATE TABLE ledger (id int PRIMARY KEY, owner text NOT NULL, balance bigint NOT NULL);
INSERT INTO ledger VALUES (0, 'sequence', 0);
INSERT INTO ledger SELECT i, 'owner ' || i, 100 FROM generate_series(1, {ACCOUNTS}) i;
CREATE TABLE counter (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO counter VALUES (1, 0);
CREATE TABLE documents (id int PRIMARY KEY, title text, body text, notes text);
ALTER TABLE documents ALTER body SET STORAGE EXTERNAL, ALTER notes SET STORAGE EXTERNAL;
INSERT INTO documents SELECT i, 'title ' || i, CASE WHEN i % 3 > 0 THEN repeat(md5(i::text), {LONG // 32}) END,
    CASE WHEN i % 4 = 0 THEN repeat(md5((-i)::text), {LONG // 32}) END FROM generate_series(1, 200) i;
CREATE TABLE pairs (a int, b text, v numeric, PRIMARY KEY (a, b));
INSERT INTO pairs SELECT i % 20, 'b' || i, i / 7.0 FROM generate_series(1, 1500) i;
CREATE TABLE visits (page text, visitor int, seconds double precision);
ALTER TABLE visits REPLICA IDENTITY FULL;
INSERT INTO visits SELECT nullif('page ' || i % 7, 'page 3'), nullif(i % 5, 2), (i % 3) / 3.0
    FROM generate_series(1, 1000) i;
CREATE TABLE cleared (id int PRIMARY KEY, v text);
INSERT INTO cleared SELECT i, 'before' FROM generate_series(1, 50) i;
CREATE TABLE growing (id int PRIMARY KEY, v text);
INSERT INTO growing SELECT i, 'v' || i FROM generate_series(1, 400) i;
CREATE TABLE bulk (id bigint PRIMARY KEY, v text);
CREATE TABLE {ODD} ("Key .1" int PRIMARY KEY, "select" text, "ünï" jsonb, "a b" timestamptz, "x'y" int[]);
"""


class Lane:
    """The keys of one writer: those that leave its number when divided by the number of writers."""

    def __init__(self, number: int, of: int) -> None:
        self.number, self.of = number, of

    def key(self, random: Random, below: int) -> int:
        """Return one of its keys, from 1 to about ``below``."""
        return random.randrange(1, below // self.of + 1) * self.of + self.number


def transfer(cursor: psycopg.Cursor[Any], random: Random, _: Lane) -> None:
    one, other = _accounts(cursor, random, 2)
    amount = random.randrange(-30, 30)
    cursor.execute("UPDATE ledger SET balance = balance - %s WHERE id = %s", [amount, one])
    cursor.execute("UPDATE ledger SET balance = balance + %s WHERE id = %s", [amount, other])


def swap_accounts(cursor: psycopg.Cursor[Any], random: Random, _: Lane) -> None:
    one, other = _accounts(cursor, random, 2)
    for new, old in ((-1, one), (one, other), (other, -1)):
        cursor.execute("UPDATE ledger SET id = %s WHERE id = %s", [new, old])


def reopen_account(cursor: psycopg.Cursor[Any], random: Random, _: Lane) -> None:
    (old,) = _accounts(cursor, random, 1)
    row = cursor.execute("DELETE FROM ledger WHERE id = %s RETURNING owner, balance", [old]).fetchone()
    new = cursor.execute("SELECT max(id) + 1 FROM ledger").fetchone()
    assert row is not None
    assert new is not None
    cursor.execute("INSERT INTO ledger VALUES (%s, %s, %s)", [new[0] if random.random() < 0.5 else old, *row])


def number_ledger(cursor: psycopg.Cursor[Any]) -> tuple[int, str]:
    """Give the ledger's transaction its number; return it with the digest of the ledger as it is then."""
    cursor.execute("UPDATE ledger SET balance = balance + 1 WHERE id = 0")
    row = cursor.execute(LEDGER).fetchone()
    assert row is not None
    return row[0], row[1]


#: The number of the ledger's newest transaction, a digest of all its rows, and the sum of its accounts.
LEDGER: Final = """
SELECT max(balance) FILTER (WHERE id = 0), md5(string_agg(concat_ws(':', id, owner, balance), ',' ORDER BY id)),
       (sum(balance) FILTER (WHERE id <> 0))::bigint
FROM public.ledger"""


def count(cursor: psycopg.Cursor[Any], *_: object) -> None:
    cursor.execute("UPDATE counter SET n = n + 1 WHERE id = 1")


def write_document(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    key, body = lane.key(random, 400), _long(random) if random.random() < 0.5 else None
    cursor.execute(
        "INSERT INTO documents VALUES (%s, %s, %s, %s) ON CONFLICT (id) DO UPDATE SET title = excluded.title",
        [key, f"title {random.random()}", body, _long(random)],
    )


def touch_document(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    """The long columns stay as they are, so the source does not send them."""
    cursor.execute("UPDATE documents SET title = title || '!' WHERE id = %s", [lane.key(random, 400)])


def rewrite_document(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    body = random.choice([None, "short", _long(random)])
    cursor.execute("UPDATE documents SET body = %s WHERE id = %s", [body, lane.key(random, 400)])


def move_document(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    """A key change that leaves long columns unsent: nobody but the target's old row has them."""
    old, new = lane.key(random, 400), lane.key(random, 400)
    cursor.execute("DELETE FROM documents WHERE id = %s AND %s <> %s", [new, old, new])
    cursor.execute("UPDATE documents SET id = %s, title = 'moved' WHERE id = %s", [new, old])


def swap_documents(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    one, other, between = lane.key(random, 400), lane.key(random, 400), -1 - lane.number
    for new, old in ((between, one), (one, other), (other, between)):
        cursor.execute("UPDATE documents SET id = %s WHERE id = %s", [new, old])


def delete_document(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    cursor.execute("DELETE FROM documents WHERE id = %s", [lane.key(random, 400)])


def upsert_pair(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    cursor.execute(
        "INSERT INTO pairs VALUES (%s, %s, %s) ON CONFLICT (a, b) DO UPDATE SET v = pairs.v + 1",
        [lane.key(random, 20), f"b{random.randrange(50)}", random.choice([None, "NaN", "1.50", str(random.random())])],
    )


def move_pairs(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    """Many keys change with one statement."""
    cursor.execute("UPDATE pairs SET b = b || '+' WHERE a = %s AND length(b) < 12", [lane.key(random, 20)])


def delete_pairs(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    cursor.execute("DELETE FROM pairs WHERE a = %s AND v < %s", [lane.key(random, 20), random.random()])


def add_visits(cursor: psycopg.Cursor[Any], random: Random, _: Lane) -> None:
    """Rows that are there several times, with NULLs."""
    visit = [random.choice([None, "page 1", "tab\there", "\\N"]), random.choice([None, 1]), random.choice([None, 0.1])]
    cursor.executemany("INSERT INTO visits VALUES (%s, %s, %s)", [visit] * random.randrange(1, 4))


def change_visit(cursor: psycopg.Cursor[Any], random: Random, _: Lane) -> None:
    """One of several equal rows."""
    cursor.execute(f"UPDATE visits SET seconds = %s WHERE ctid IN ({_SOME_VISIT})", [random.randrange(5)])


def delete_visit(cursor: psycopg.Cursor[Any], random: Random, _: Lane) -> None:
    cursor.execute(f"DELETE FROM visits WHERE ctid IN ({_SOME_VISIT})")


_SOME_VISIT: Final = "SELECT ctid FROM visits TABLESAMPLE SYSTEM (50) LIMIT 1 FOR UPDATE SKIP LOCKED"


def write_odd(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    cursor.execute(
        f"""INSERT INTO {ODD} VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT ("Key .1") DO UPDATE SET "select" = excluded."select" || 'x', "ünï" = excluded."ünï" """,
        [lane.key(random, 100), "it's\n\\t", '{"a": [1, null, "\\u00e4"]}', "infinity", [1, None, random.randrange(9)]],
    )


def grow_rows(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    cursor.execute(
        "INSERT INTO growing (id, v) VALUES (%s, 'new') ON CONFLICT (id) DO UPDATE SET v = growing.v || '.'",
        [lane.key(random, 1000)],
    )


def clear(cursor: psycopg.Cursor[Any], random: Random, _: Lane) -> None:
    cursor.execute("TRUNCATE cleared")
    cursor.execute("INSERT INTO cleared SELECT i, 'after' FROM generate_series(1, %s) i", [random.randrange(1, 30)])


def add_column(cursor: psycopg.Cursor[Any], random: Random, lane: Lane) -> None:
    """Existing rows get the default without an event each; the next row of the table brings the new version.

    Another writer may add the same column at the same time.
    """
    row = cursor.execute("SELECT count(*) FROM pg_attribute WHERE attrelid = 'growing'::regclass").fetchone()
    assert row is not None
    if row[0] < MOST_COLUMNS:
        cursor.execute(f"ALTER TABLE growing ADD COLUMN IF NOT EXISTS added_{row[0]} text DEFAULT 'since {row[0]}'")
    grow_rows(cursor, random, lane)


def write_much(cursor: psycopg.Cursor[Any], rows: int) -> None:
    """Insert, change and delete a great many rows."""
    first = cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM bulk").fetchone()
    assert first is not None
    cursor.execute(
        "INSERT INTO bulk SELECT %s + i, md5(i::text) FROM generate_series(1, %s) i", [first[0], rows * 8 // 10]
    )
    cursor.execute("UPDATE bulk SET v = 'changed' WHERE id %% 10 = 0 AND id > %s", [first[0]])
    cursor.execute("DELETE FROM bulk WHERE id % 10 = 1")


#: What any writer may do, and how often. The ledger is the first writer's alone: its transactions are numbered.
STEPS: Final[dict[Any, int]] = {
    count: 10, write_document: 6, touch_document: 8, rewrite_document: 3, move_document: 5, swap_documents: 4,
    delete_document: 3, upsert_pair: 8, move_pairs: 2, delete_pairs: 2, add_visits: 6, change_visit: 4,
    delete_visit: 5, write_odd: 4, grow_rows: 5,
}  # fmt: skip
LEDGER_STEPS: Final[dict[Any, int]] = {transfer: 6, swap_accounts: 2, reopen_account: 2}
#: Rare, and the first writer's alone: they take locks that everybody feels.
HEAVY_STEPS: Final[dict[Any, int]] = {clear: 1, add_column: 1}


def chosen(random: Random, steps: dict[Any, int], tally: Counter[str]) -> Any:
    """Return one of the steps by its weight, and count it."""
    step = random.choices(list(steps), list(steps.values()))[0]
    tally[step.__name__] += 1
    return step


def _accounts(cursor: psycopg.Cursor[Any], random: Random, n: int) -> list[int]:
    ids = [row[0] for row in cursor.execute("SELECT id FROM ledger WHERE id > 0 ORDER BY id").fetchall()]
    return random.sample(ids, n)


def _long(random: Random) -> str:
    return f"{random.getrandbits(32):08x}" * (LONG // 8)
