"""Column types of MySQL and MariaDB with hostile values of each, as SQL."""

from __future__ import annotations

from typing import Final, NamedTuple


class Case(NamedTuple):
    """A column's type, and values as SQL expressions; those that the server refuses become whatever it makes of them."""

    type: str
    values: tuple[str, ...]


def _case(kind: str, *values: object) -> Case:
    return Case(kind, tuple(map(str, values)))


def _labels(count: int) -> str:
    return ",".join(f"'v{i}'" for i in range(count))


NUMBERS: Final = [
    _case("tinyint", -128, 127, 0), _case("tinyint(1)", -1, 0, 1, 127), _case("tinyint unsigned", 0, 255),
    _case("smallint", -32768, 32767), _case("smallint unsigned", 0, 65535), _case("mediumint", -8388608, 8388607, -1),
    _case("mediumint unsigned", 0, 16777215), _case("int", -2147483648, 2147483647),
    _case("int unsigned", 0, 4294967295), _case("int(5) zerofill", 0, 42, 4294967295),
    _case("bigint", -9223372036854775808, 9223372036854775807), _case("bigint unsigned", 0, 18446744073709551615),
    _case("bigint zerofill", 7, 18446744073709551615),
    _case("decimal(65,30)", "-" + "9" * 35 + "." + "9" * 30, "9" * 35 + "." + "9" * 30, 0, "-0." + "0" * 29 + "1", "1.5"),
    _case("decimal(5,2)", "1.5", "-999.99", 0, "-0.01", "-0"), _case("decimal(65,0)", "9" * 65, "-" + "9" * 65, 0),
    _case("decimal(30,30)", "0.5", "-0." + "9" * 30), _case("decimal(10,2) zerofill", "1.5", 0, "99999999.99"),
    _case("decimal(20,9)", "-12345678901.123456789", "1e-9"), _case("decimal(1,1)", "0.9", "-0.9"),
    _case("decimal(18,9)", "999999999.999999999", "-1.000000001"), _case("decimal", 1, -1),
    _case("float", "0.1", "1e30", "1e-30", "3.4028234663852886e38", "1.17549435e-38", "1e-45", 16777216, "-0e0", "1e15"),
    _case("float(7,3)", "1234.567", "-0.001"), _case("float unsigned zerofill", "0.7"),
    _case(
        "double", "0.1", "1e300", "-1e-300", "1.7976931348623157e308", "5e-324", "123456789012345678", "1e15", "1e14",
        "1e16", "1e-15", "1e-16", "-0e0", "0.1e0+0.2e0", "1e22", "1e23", "0.000001", "0.0000009", "1e10", "9999999999.5",
    ),
    _case("double(10,3)", "1234567.891", "0.001"),
    _case("bit(1)", "b'0'", "b'1'"), _case("bit(8)", "b'10000001'"), _case("bit(9)", "b'100000001'", "b'0'"),
    _case("bit(64)", 18446744073709551615, 1, 0), _case("year", 0, 1901, 2155, 1970),
]  # fmt: skip

_MOMENTS = (
    "'2026-01-31 12:34:56.789123'", "'0000-00-00'", "'9999-12-31 23:59:59'", "'2026-02-31 00:00:00'",
    "'1000-01-01 00:00:00.000001'", "'0000-01-01 00:00:00'", "'2026-00-01 10:11:12.5'",
)  # fmt: skip
_STAMPS = (
    "'2026-01-31 12:34:56.789123'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07.499999'", "'0000-00-00'",
)  # fmt: skip
_TIMES = (
    "'12:34:56.789123'", "'838:59:59'", "'-838:59:59'", "'-00:00:00.5'", "'-00:00:01.000001'", "'00:00:00'",
    "'-12:00:00.999999'", "'100:00:00.000001'", "'-25:30:00'",
)  # fmt: skip
TIMES: Final = [
    _case(
        "date", "'2026-01-31'", "'0000-00-00'", "'2026-00-00'", "'2026-02-31'", "'9999-12-31'", "'1000-01-01'",
        "'0000-01-01'", "'0001-01-01'",
    ),
    *(Case(f"datetime({fsp})", _MOMENTS) for fsp in range(7)),
    *(Case(f"timestamp({fsp}) null", _STAMPS) for fsp in range(7)),
    *(Case(f"time({fsp})", _TIMES) for fsp in range(7)),
]  # fmt: skip

STRINGS: Final = [
    _case("char(10)", "'abc'", "'abc  '", "''", "'  x'", "'é😀'", "'a\\0b'", "'\\t\\n'"),
    _case("char(255)", "repeat('é',255)"), _case("char(0)", "''"), _case("varchar(10)", "'abc  '", "''", "'\\'\"\\\\'"),
    _case("varchar(63)", "repeat('😀',63)"), _case("varchar(64)", "repeat('😀',64)", "''"),
    _case("tinytext", "'x'", "repeat('a',255)"), _case("text", "repeat('é',30000)"),
    _case("mediumtext", "repeat('x',70000)"), _case("longtext", "'l'", "''"),
    _case("binary(16)", "x'00112233445566778899aabbccddeeff'", "x'00'", "x'ff00'", "''"),
    _case("binary(255)", "repeat('a',255)", "'a'"), _case("binary(3)", "x'000000'", "x'610000'"),
    _case("varbinary(10)", "x'00ff00'", "''"), _case("varbinary(300)", "repeat(x'ff00',150)"),
    _case("tinyblob", "x'00ff'"), _case("blob", "x'80'", "repeat('z',65535)"),
    _case("mediumblob", "repeat(x'00',70000)"), _case("longblob", "x'ffd8'", "''"),
    _case("enum('a','b','','é','x,y')", "'a'", "''", "'é'", 5, 3), _case("enum('one','two')", "'nope'", 2, 1),
    _case(f"enum({_labels(300)})", "'v0'", "'v299'"), _case("set('a','b','c d','é')", "''", "'a,é'", 15, "'c d'"),
    _case(f"set({_labels(64)})", "'v0'", "'v63'", 18446744073709551615), _case(f"set({_labels(9)})", "'v8,v0'"),
    _case(f"set({_labels(17)})", "'v16'"), _case(f"set({_labels(33)})", "'v32'"), _case("set('nope')", "'bad'", 1),
]  # fmt: skip


def _geometry(kind: str, *texts: str) -> Case:
    return Case(kind, tuple(f"ST_GeomFromText({text})" for text in texts))


GEOMETRIES: Final = [
    _geometry("geometry", "'POINT(1 2)'", "'POLYGON((0 0,0 1,1 1,0 0))',4326"), _geometry("point", "'POINT(10 20)',4326"),
    _geometry("linestring", "'LINESTRING(0 0,1 1)'"), _geometry("polygon", "'POLYGON((0 0,0 1,1 1,0 0))'"),
    _geometry("multipoint", "'MULTIPOINT(1 1,2 2)'"), _geometry("multilinestring", "'MULTILINESTRING((0 0,1 1))'"),
    _geometry("multipolygon", "'MULTIPOLYGON(((0 0,0 1,1 1,0 0)))'"),
    _geometry("geometrycollection", "'GEOMETRYCOLLECTION(POINT(1 2),LINESTRING(0 0,1 1))'"),
]  # fmt: skip

#: A text of each character set that only it, or its like, can write.
CHARSETS: Final = {
    "latin1": "é€ß\x81", "utf8mb3": "é中", "ascii": "a~", "gbk": "中文汉字", "gb2312": "中文", "big5": "中文繁體",
    "sjis": "日本語ｱ", "cp932": "日本語①㈱", "euckr": "한국어", "ujis": "日本語", "eucjpms": "日本語①", "ucs2": "é中\ue000",
    "utf16": "é中😀", "utf16le": "é中😀", "utf32": "é中😀", "latin2": "žř", "latin5": "ğı", "latin7": "ąž", "cp850": "é░",
    "cp852": "ž", "cp866": "Я²", "cp1250": "ž€", "cp1251": "Ж", "cp1256": "ع", "cp1257": "ą", "koi8r": "Я", "koi8u": "Яї",
    "greek": "αΩ", "hebrew": "ש", "tis620": "ไทย", "macce": "ž", "macroman": "é", "hp8": "é", "armscii8": "Ա", "dec8": "é",
    "geostd8": "ა", "keybcs2": "ž", "swe7": "Åä",
}  # fmt: skip


def texts(charset: str, text: str) -> list[Case]:
    """Return columns of a character set."""
    content = f"CONVERT(x'{text.encode().hex()}' USING utf8mb4)"
    label = text.replace("\x81", "")
    return [
        _case(f"char(20) character set {charset}", content, "'abc  '", "''"),
        _case(f"varchar(200) character set {charset}", content, f"CONCAT({content}, '  ')", "'a\\\\b'", "'~'"),
        _case(f"text character set {charset}", content, "'abc'"),
        _case(f"enum('a','{label}z') character set {charset}", 1, 2),
        _case(f"set('a','{label}z') character set {charset}", 1, 3),
    ]


_JSON = [
    "{}", "[]", "null", "true", "1", "-1", "65535", "65536", "-32769", "4294967295", "9223372036854775807",
    "-9223372036854775808", "18446744073709551615", "1.5", "1.0", "1e100", "1e-5", "-0.0", "1e15", "1e17",
    "123456789012345678901234567890", '""', '"é😀"', '"a\\"b\\\\c/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f"',
    '{"b":1,"a":2,"aa":[1,2,{"x":null}],"":3}', "[[],{},[{}]]", '"' + "x" * 200 + '"',
    "[" + ",".join(map(str, range(300))) + "]", "[" + ",".join('"' + "y" * 300 + '"' for _ in range(300)) + "]",
    "{" + ",".join(f'"k{i}":"{"z" * 400}"' for i in range(200)) + "}", "[" * 99 + "]" * 99,
]  # fmt: skip
_JSON_OF_SQL = (
    "CAST(CAST('2020-01-02' AS DATE) AS JSON)", "CAST(CAST('-25:04:05.5' AS TIME(1)) AS JSON)",
    "CAST(CAST('1.50' AS DECIMAL(10,2)) AS JSON)", "CAST(repeat(x'01',200) AS JSON)",
    "JSON_ARRAY(CAST('12.345' AS DECIMAL(10,3)), x'abcd', b'101', true, TIMESTAMP'2020-01-02 03:04:05.678')",
    "JSON_ARRAY(1.0e0, 1e14, 1e15, 1e16, -0e0, 1e-7, 0.1e0+0.2e0)",
)  # fmt: skip

MYSQL: Final = [
    Case("json", (*(f"CAST(CONVERT(x'{j.encode().hex()}' USING utf8mb4) AS JSON)" for j in _JSON), *_JSON_OF_SQL)),
    _case("vector(3)", "TO_VECTOR('[1,0.1,-2.5]')"), _case("varchar(10) collate utf8mb4_0900_ai_ci", "'ab '"),
    _geometry("point srid 4326", "'POINT(10 20)',4326"), *texts("gb18030", "中文😀ǹ"),
]  # fmt: skip
MARIADB: Final = [
    _case("inet6", "'2001:db8::1'", "'::'", "'::ffff:1.2.3.0'", "'fe80::'"), _case("json", "'{\"a\":  1}'"),
    _case("varchar(300) compressed", "repeat('abc',100)", "''", "'z'"), _case("blob compressed", "repeat(x'00ff',1000)", "''"),
    _case("varbinary(254) compressed", "repeat('a',254)"), _case("char(10) collate utf8mb4_nopad_bin", "'ab  '"),
    _case("longtext compressed character set latin1", "repeat('é',500)"),
]  # fmt: skip
#: By the version that first has them.
MARIADB_SINCE: Final = {
    (10, 7): [
        _case(
            "uuid", "'123e4567-e89b-12d3-a456-426614174000'", "'00112233-4455-4677-8899-aabbccddee00'",
            "'01890000-0000-7000-8000-000000000000'", "'00000000-0000-0000-0000-000000000000'",
        ),
    ],
    (10, 10): [
        _case("inet4", "'1.2.3.4'", "'10.0.0.0'"), _case("varchar(10) collate utf8mb4_uca1400_ai_ci", "'ab '"),
    ],
    (11, 7): [_case("vector(3)", "VEC_FromText('[1,0.1,-2.5]')")],
}  # fmt: skip


def cases(version: tuple[int, ...], *, mariadb: bool) -> list[Case]:
    """Return all that a kind of server has in this version."""
    every = [*NUMBERS, *TIMES, *STRINGS, *GEOMETRIES]
    for charset, text in CHARSETS.items():
        every += texts(charset, text)
    if not mariadb:
        return every + MYSQL
    return every + MARIADB + [case for since, more in MARIADB_SINCE.items() if version >= since for case in more]
