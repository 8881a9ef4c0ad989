"""The source of the demo: the five tables as an application would have them, and the day that is held back.

The rows of that day wait in the schema ``ahead``, which the pipeline does not carry: the day is played from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from operate.demo.data import TABLES

if TYPE_CHECKING:
    import psycopg

    from operate.demo.data import DataSet
    from operate.local.server import Say

#: 8 February 2013: the blizzard "Nemo" closed New York's airports. 930 flights were planned, 472 were cancelled.
MONTH, DAY = 2, 8
DATE = f"2013-{MONTH:02}-{DAY:02}"
TODAY = f"month = {MONTH} AND day = {DAY}"

#: Bytes handed to COPY at once.
BLOCK = 1 << 20

#: weather's local year, month, day, hour are no key: one hour of 3 November comes twice. Its moment in time is one.
DEFINITIONS = """
CREATE TABLE public.airlines (
    carrier varchar(2) PRIMARY KEY,
    name text NOT NULL
);
CREATE TABLE public.airports (
    faa char(3) PRIMARY KEY,
    name text NOT NULL,
    lat double precision NOT NULL,
    lon double precision NOT NULL,
    alt integer NOT NULL,
    tz smallint NOT NULL,
    dst char(1) NOT NULL,
    tzone text
);
CREATE TABLE public.planes (
    tailnum varchar(6) PRIMARY KEY,
    year smallint,
    type text NOT NULL,
    manufacturer text NOT NULL,
    model text NOT NULL,
    engines smallint NOT NULL,
    seats smallint NOT NULL,
    speed smallint,
    engine text NOT NULL,
    maintenance_log text
);
CREATE TABLE public.weather (
    origin char(3) NOT NULL,
    year smallint NOT NULL,
    month smallint NOT NULL,
    day smallint NOT NULL,
    hour smallint NOT NULL,
    temp numeric(5, 2),
    dewp numeric(5, 2),
    humid numeric(5, 2),
    wind_dir smallint,
    wind_speed double precision,
    wind_gust double precision,
    precip numeric(4, 2) NOT NULL,
    pressure numeric(6, 1),
    visib real NOT NULL,
    time_hour timestamptz NOT NULL,
    PRIMARY KEY (origin, time_hour)
);
CREATE TABLE public.flights (
    year smallint NOT NULL,
    month smallint NOT NULL,
    day smallint NOT NULL,
    dep_time smallint,
    sched_dep_time smallint NOT NULL,
    dep_delay smallint,
    arr_time smallint,
    sched_arr_time smallint NOT NULL,
    arr_delay smallint,
    carrier varchar(2) NOT NULL,
    flight integer NOT NULL,
    tailnum varchar(6),
    origin char(3) NOT NULL,
    dest char(3) NOT NULL,
    air_time smallint,
    distance smallint NOT NULL,
    hour smallint NOT NULL,
    minute smallint NOT NULL,
    time_hour timestamptz NOT NULL
);
ALTER TABLE public.flights REPLICA IDENTITY FULL;
CREATE INDEX ON public.flights (month, day, hour);

CREATE SCHEMA ahead;
CREATE TABLE ahead.flights (LIKE public.flights);
CREATE TABLE ahead.weather (LIKE public.weather);
CREATE TABLE ahead.airports (LIKE public.airports);
"""

#: Takes the day's rows out again, into the schema ahead. A copy of the airports is kept there for their reload.
HELD_BACK = f"""
WITH day AS (DELETE FROM public.weather WHERE {TODAY} RETURNING *) INSERT INTO ahead.weather SELECT * FROM day;
WITH day AS (DELETE FROM public.flights WHERE {TODAY} RETURNING *) INSERT INTO ahead.flights SELECT * FROM day;
INSERT INTO ahead.airports SELECT * FROM public.airports;
"""

#: Made up: one plane in ten gets a text of 8 KiB that does not compress. PostgreSQL stores it out of line, and does
#: not send it with an update that leaves it alone.
LOGBOOKS = """
UPDATE public.planes
SET maintenance_log = (SELECT string_agg(md5(tailnum || page), ' ') FROM generate_series(1, 250) page)
WHERE hashtext(tailnum) % 10 = 0
"""


def create(connection: psycopg.Connection[Any], data: DataSet, say: Say) -> dict[str, int]:
    """Make and fill the tables of an empty database; return the rows of each that the pipeline will find."""
    connection.execute(DEFINITIONS)
    for table in TABLES:
        _copy(connection, data, table)
        say(f"loaded {table}")
    connection.execute(HELD_BACK)
    connection.execute(LOGBOOKS)
    for table in TABLES:
        connection.execute(f"ANALYZE public.{table}")
    return count(connection)


def count(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the number of rows of each table, by its name."""
    counts = {}
    for table in TABLES:
        row = connection.execute(f"SELECT count(*) FROM public.{table}").fetchone()
        counts[f"public.{table}"] = int(row[0]) if row else 0
    return counts


def _copy(connection: psycopg.Connection[Any], data: DataSet, table: str) -> None:
    columns = ", ".join(data.header(table))
    statement = f"COPY public.{table} ({columns}) FROM STDIN (FORMAT csv, HEADER true, NULL 'NA')"
    with data.open(table) as file, connection.cursor().copy(statement) as copy:
        while block := file.read(BLOCK):
            copy.write(block)
