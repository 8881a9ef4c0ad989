"""Every PostgreSQL type with values at its edges: what the matrix test carries, and the table of docs/type-map.md."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Everything that changes how a value is written, as hostile as a role and a database can have it.
HOSTILE: Final = [
    "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "extra_float_digits = -5",
    "bytea_output = 'escape'", "search_path = 'odd, public'", "lc_monetary = 'C'", "xmloption = 'document'",
    "standard_conforming_strings = off", "statement_timeout = '1ms'", "default_transaction_isolation = 'serializable'",
    "xmlbinary = 'hex'", "quote_all_identifiers = on", "array_nulls = off",
]  # fmt: skip

#: Extensions whose types are carried where both servers have them, made at both ends, with their schemas. (PostGIS puts
#: a table into its schema.)
EXTENSIONS: Final = {"hstore": "public", "citext": "public", "ltree": "public", "vector": "public", "postgis": "gis"}
#: The document says nothing of those that PostgreSQL's own distribution lacks.
UNDOCUMENTED: Final = ("xml", "vector", "halfvec", "sparsevec", "gis.")

#: What the source alone has, so that the target takes text for it.
USER_TYPES: Final = """
CREATE SCHEMA odd; CREATE TYPE odd.mood AS ENUM ('sad', 'so so', 'it''s "ok"'); CREATE TABLE odd.thing (id int);
CREATE DOMAIN odd.small AS numeric(6,2) CHECK (VALUE < 100); CREATE DOMAIN odd.smaller AS odd.small;
CREATE TYPE odd.pair AS (n int, t text); CREATE DOMAIN odd.tags AS text[]; CREATE DOMAIN odd.feeling AS odd.mood;
CREATE TYPE odd.floats AS RANGE (subtype = float8)"""

#: Types of the catalog that no column of a table that is written by people can have values of: their input refuses.
WITHOUT_INPUT: Final = frozenset({
    "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list", "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary", "gtsvector", "pg_ddl_command",
})  # fmt: skip

_RANGES: Final = {
    "int4range": ["'[1,5)'", "'empty'", "'(,)'"],
    "int8range": ["'[-9223372036854775808,)'"],
    "numrange": ["'[1.50,2.0)'", "'(,0]'", "'[1,Infinity]'"],
    "daterange": ["'[2024-02-29,infinity)'", "'[0044-03-15 BC,0001-01-01)'"],
    "tsrange": ["""'["2024-02-29 12:00:00.5",)'"""],
    "tstzrange": ["'[2024-01-01 00:00+3,)'"],
}

#: SQL type -> literals; NULL is tried for all, and an array of the literals for every scalar.
TYPES: Final[dict[str, list[str]]] = {
    "bool": ["true", "false"],
    "int2": ["-32768", "32767", "0"],
    "int4": ["-2147483648", "2147483647"],
    "int8": ["-9223372036854775808", "9223372036854775807"],
    "float4": ["'1.1'", "'NaN'", "'-Infinity'", "'-0'", "'1e-40'", "'3.4028235e38'", "'1.17549435e-38'"],
    "float8": ["0.1", "'NaN'", "'Infinity'", "'-0'", "1e308", "'5e-324'", "0.1::float8 + 0.2", "'-1.5e-7'"],
    "numeric": ["1.50", "'NaN'", "'Infinity'", "'-Infinity'", "0.000", "12345678901234567890.1234567890", "1e-30",
                "1e30", "-1e-16383", "repeat('9', 1500)::numeric"],
    "numeric(12,3)": ["1.5", "-999999999.999", "'NaN'", "0"],
    "numeric(38,0)": ["99999999999999999999999999999999999999"],
    "numeric(3,-2)": ["12345"],
    "numeric(2,5)": ["0.00099"],
    "money": ["'-1234.56'", "'92233720368547758.07'"],
    "text": ["''", r"E'a\tb\nc\\d\re\x01'", "'\\N'", "'\\.'", r"E'\u00e9\U0001F600'", "repeat('x', 10000)", "'NULL'"],
    "varchar": ["'any'"], "varchar(5)": ["'ab'", "'ab   '"], "char(5)": ["'ab'", "'     '"], '"char"': ["'c'", "''"],
    "name": ["'n'"],
    "bytea": [r"'\x00ff5c'::bytea", "''", "decode(repeat('00', 5000), 'hex')"],
    "date": ["'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'4713-01-01 BC'", "'12024-01-01'",
             "'0001-01-01'", "'9999-12-31'", "'5874897-12-31'"],
    "time": ["'12:34:56.789'", "'24:00:00'", "'00:00:00'", "'23:59:59.999999'"],
    "time(0)": ["'12:34:56.789'"],
    "timetz": ["'12:34:56.7+05:30'", "'24:00:00-02'", "'12:00:00+01:02:03'", "'00:00:00+15:59:59'"],
    "timestamp": ["'2024-02-29 12:34:56.000001'", "'infinity'", "'-infinity'", "'0044-03-15 01:02:03 BC'",
                  "'294276-12-31 23:59:59.999999'", "'4713-01-01 00:00:00 BC'", "'1969-12-31 23:59:59.999999'"],
    "timestamp(3)": ["'2024-02-29 12:34:56.987654'"],
    "timestamptz": ["'2024-02-29 12:34:56.5+05:45'", "'infinity'", "'-infinity'", "'0044-03-15 01:02:03+00 BC'",
                    "'1900-01-01 00:00+0'", "'294276-12-31 23:59:59.999999+00'", "'9999-12-31 23:59:59.999999+00'"],
    "interval": ["'1 year -2 mons 3 days -04:05:06.7'", "'0'", "'-1.5 hours'", "'178000000 years'", "'-1 microsecond'"],
    "interval day to second(2)": ["'1 2:03:04.567'"],
    "json": ["""'{"a":  1.00, "a": 2}'""", r"""'"\u0000\ud83d\ude00\/"'""", "'1e400'", "' [ ] '", "'null'"],
    "jsonb": ["""'{"b": [1, null], "a": "\\u00e9"}'""", r"""'"\\u0000 \" \n"'""", "'1e400'", "'null'"],
    "jsonpath": ["""'$.a[*] ? (@ > 1)'"""],
    "xml": ["'<a b=\"c\">&lt;x</a>'", "'plain <b/> content'"],
    "uuid": ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
    "bit(1)": ["B'1'"], "bit(11)": ["B'10000000001'"], "varbit": ["B'101'", "B''"], "varbit(9)": ["B'111111111'"],
    "inet": ["'10.0.0.1/8'", "'::1'", "'10.0.0.1'"], "cidr": ["'10.0.0.0/8'", "'2001:db8::/32'"],
    "macaddr": ["'08:00:2b:01:02:03'"], "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "point": ["'(1.1,-0)'", "'(NaN,Infinity)'"], "line": ["'{1,-1,0}'"], "lseg": ["'[(0,0),(1,1.5)]'"],
    "box": ["'((0,0),(1,1))'"], "path": ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"], "polygon": ["'((0,0),(1,1))'"],
    "circle": ["'<(1,2),3.3>'"],
    "tsvector": ["'a:1A fat'", r"$$'it''s' 'b\\c':3$$", "''"], "tsquery": ["'a & b'", "''"],
    **_RANGES,
    **{name.replace("range", "multirange"): ["'{}'", *(
        f"'{{{literal.strip(chr(39))}}}'" for literal in literals if literal != "'empty'")]
       for name, literals in _RANGES.items()},
    "oid": ["4294967295"], "xid": ["'4294967295'"], "xid8": ["'18446744073709551615'"], "cid": ["'7'"], "tid": ["'(1,2)'"],
    "pg_lsn": ["'1/2'", "'FFFFFFFF/FFFFFFFF'"], "pg_snapshot": ["'10:20:10,14'"], "txid_snapshot": ["'10:20:10,14'"],
    "int2vector": ["'1 2'"], "oidvector": ["'1 2'"], "refcursor": ["'c'"],
    "regclass": ["'odd.thing'"], "regtype": ["'odd.mood'"], "regnamespace": ["'odd'"], "regrole": ["current_user"],
    "regproc": ["'pg_catalog.pi'"], "regprocedure": ["'pg_catalog.pi()'"], "regoper": ["'pg_catalog.||/'"],
    "regoperator": ["'pg_catalog.+(int4,int4)'"], "regcollation": ["""'pg_catalog."C"'"""], "regconfig": ["'simple'"],
    "regdictionary": ["'simple'"], "regdatabase": ["'postgres'"], "aclitem": ["'postgres=r/postgres'"],
    "odd.mood": ["'so so'", """'it''s "ok"'"""], "odd.feeling": ["'sad'"], "odd.small": ["12.5"], "odd.smaller": ["-1"],
    "odd.pair": ["ROW(1, 'a b')", """ROW(NULL, 'q"\\')"""], "odd.floats": ["'[0.1,NaN]'"],
    "hstore": ["""'a=>"b c", "=>"=>NULL'"""], "citext": ["'MiXed'"], "ltree": ["'Top.Science'", "''"],
    "vector": ["'[1,-0.5,3.4028235e+38]'"], "vector(3)": ["'[1,2,3]'"], "halfvec": ["'[0.5,65504]'"],
    "sparsevec": ["'{1:1.5,3:-2}/5'"],
    "gis.geometry": ["'POINT(1.1 -0)'", "'SRID=4326;LINESTRING Z (0 0 1, 1 1.5 NaN)'", "'GEOMETRYCOLLECTION EMPTY'",
                     "'POLYGON((0 0,4 0,4 4,0 0),(1 0.5,2 0.5,2 1,1 0.5))'"],
    "gis.geometry(Point,4326)": ["'SRID=4326;POINT(0.1 1e-300)'"], "gis.geography": ["'POINT(-179.9 89.5)'"],
    "gis.box2d": ["'BOX(0 0,1.5 2)'"], "gis.box3d": ["'BOX3D(0 0 0,1 2 3)'"],
}  # fmt: skip

#: Arrays of odd shapes, and domains over arrays: beside an array of every type above.
ARRAYS: Final[dict[str, list[str]]] = {
    "int4[]": ["'{}'", "'[2:3]={1,2}'", "'{{1,2},{3,NULL}}'", "'[0:0][-1:0]={{1,2}}'"],
    "text[]": [r"""ARRAY['a,"b', NULL, 'NULL', E'c\\', '', '{', E'\n']""", "'{{{a}},{{b}}}'"],
    "odd.tags": ["'{a,NULL}'"],
}


@dataclass(frozen=True, slots=True)
class Case:
    """One column: its type, and the expressions that its rows hold, NULL behind them."""

    sql: str
    values: tuple[str, ...]

    def value(self, row: int) -> str:
        """Return the expression of a row."""
        return f"({self.values[row]})::{self.sql}" if row < len(self.values) else "NULL"


def cases(known: Mapping[str, bool]) -> list[Case]:
    """Return the columns for a server; ``known`` says of every type whether it has it.

    Every scalar comes a second time, as an array of all its literals.
    """
    usable = {sql: literals for sql, literals in TYPES.items() if known[sql]}
    plain = [Case(sql, tuple(literals)) for sql, literals in usable.items()]
    shaped = [Case(sql, tuple(literals)) for sql, literals in ARRAYS.items()]
    return plain + shaped + [Case(f"{sql}[]", (_array(sql, literals),)) for sql, literals in usable.items()]


def _array(sql: str, literals: Iterable[str]) -> str:
    members = ", ".join(f"({literal})::{sql}" for literal in literals)
    return f"ARRAY[{members}, NULL]"


def doc_row(case: Case, kind: str, target: str, verbatim: Iterable[str]) -> str:
    """Return a type's line of the matrix in docs/type-map.md."""
    cells = [
        f"`{case.sql}`",
        f"`{kind}`",
        "the same" if target == "" else f"`{target}`",
        ", ".join(f"`{_shown(value)}`" for value in case.values),
        ", ".join(f"`{_shown(value)}`" for value in verbatim),
    ]
    return f"| {' | '.join(cells)} |"


def _shown(value: str) -> str:
    short = value if len(value) <= 40 else f"{value[:30]}…"
    return re.sub(r"[\x00-\x1f]", " ", short).replace("|", r"\|")
