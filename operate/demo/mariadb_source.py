"""The demo's source in MariaDB: the same tables, and the same day, in its own SQL.

The database is called ``public``, as PostgreSQL's schema is, so that the tables have the same names on both sides. The
rows of the day that is held back wait in the database ``ahead``, which the pipeline does not carry.
"""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from operate.demo.data import TABLES
from operate.demo.day import RELEASE_HOUR, SAME_FLIGHT, WITHDRAWN_FROM, Dialect
from operate.demo.source_tables import TODAY

if TYPE_CHECKING:
    from pymysql.connections import Connection

    from operate.demo.data import DataSet
    from operate.demo.day import Scene
    from operate.local.server import Say

#: The columns of flights; those that the application's release adds come behind them.
FLIGHTS = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
    *("carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour"),
)

DEFINITIONS = (
    "CREATE DATABASE public CHARACTER SET utf8mb4",
    "CREATE DATABASE ahead CHARACTER SET utf8mb4",
    "CREATE TABLE public.airlines (carrier varchar(2) PRIMARY KEY, name varchar(100) NOT NULL)",
    """
CREATE TABLE public.airports (
    faa char(3) PRIMARY KEY, name varchar(100) NOT NULL, lat double NOT NULL, lon double NOT NULL, alt int NOT NULL,
    tz smallint NOT NULL, dst enum('A', 'N', 'U') NOT NULL, tzone varchar(50)
)""",
    """
CREATE TABLE public.planes (
    tailnum varchar(6) PRIMARY KEY, year year, type varchar(50) NOT NULL, manufacturer varchar(100) NOT NULL,
    model varchar(50) NOT NULL, engines tinyint unsigned NOT NULL, seats smallint unsigned NOT NULL, speed smallint,
    engine varchar(50) NOT NULL, maintenance_log mediumtext
)""",
    """
CREATE TABLE public.weather (
    origin char(3) NOT NULL, year smallint NOT NULL, month tinyint NOT NULL, day tinyint NOT NULL,
    hour tinyint NOT NULL, temp decimal(5, 2), dewp decimal(5, 2), humid decimal(5, 2), wind_dir smallint,
    wind_speed double, wind_gust double, precip decimal(4, 2) NOT NULL, pressure decimal(6, 1), visib float NOT NULL,
    time_hour timestamp NOT NULL, PRIMARY KEY (origin, time_hour)
)""",
    """
CREATE TABLE public.flights (
    year smallint NOT NULL, month tinyint NOT NULL, day tinyint NOT NULL, dep_time smallint,
    sched_dep_time smallint NOT NULL, dep_delay smallint, arr_time smallint, sched_arr_time smallint NOT NULL,
    arr_delay smallint, carrier varchar(2) NOT NULL, flight int NOT NULL, tailnum varchar(6), origin char(3) NOT NULL,
    dest char(3) NOT NULL, air_time smallint, distance smallint NOT NULL, hour tinyint NOT NULL,
    minute tinyint NOT NULL, time_hour timestamp NOT NULL, KEY (month, day, hour)
)""",
    "CREATE TABLE ahead.flights LIKE public.flights",
    "CREATE TABLE ahead.weather LIKE public.weather",
    "CREATE TABLE ahead.airports LIKE public.airports",
)

HELD_BACK = (
    f"INSERT INTO ahead.weather SELECT * FROM public.weather WHERE {TODAY}",
    f"DELETE FROM public.weather WHERE {TODAY}",
    f"INSERT INTO ahead.flights SELECT * FROM public.flights WHERE {TODAY}",
    f"DELETE FROM public.flights WHERE {TODAY}",
    "INSERT INTO ahead.airports SELECT * FROM public.airports",
)

#: Made up, as in PostgreSQL's demo: one plane in ten gets a text of 8 KiB.
LOGBOOKS = """
UPDATE public.planes SET maintenance_log =
    (SELECT GROUP_CONCAT(MD5(CONCAT(tailnum, seq)) ORDER BY seq SEPARATOR ' ') FROM public.seq_1_to_250)
WHERE CRC32(tailnum) % 10 = 0"""


def create(connection: Connection[Any], data: DataSet, say: Say) -> dict[str, int]:
    """Make and fill the tables of an empty server; return the rows of each that the pipeline will find.

    The connection must have been opened with ``local_infile``.
    """
    with connection.cursor() as cursor:
        for statement in DEFINITIONS:
            cursor.execute(statement)
        for table in TABLES:
            _load(connection, data, table)
            say(f"loaded {table}")
        for statement in (*HELD_BACK, LOGBOOKS):
            cursor.execute(statement)
    return {f"public.{table}": count(connection, f"public.{table}") for table in TABLES}


def count(connection: Connection[Any], table: str) -> int:
    """Return the number of rows of a table."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM {table}")
        return int(cursor.fetchall()[0][0])


def play(connection: Connection[Any], scene: Scene) -> int:
    """Run one transaction; return the rows that it changed for good (a truncate counts what it removes)."""
    changed = 0
    connection.select_db("public")  # a derived table asks for one
    connection.begin()
    for statement in scene.statements:
        changed += _run(connection, statement)
    if scene.commits:
        connection.commit()
        return changed
    connection.rollback()
    return 0


def _run(connection: Connection[Any], statement: str) -> int:
    removed = count(connection, statement.removeprefix("TRUNCATE ")) if statement.startswith("TRUNCATE ") else 0
    with connection.cursor() as cursor:
        changed = cursor.execute(statement)
    return 0 if statement.startswith(("ALTER ", "CREATE ")) else max(removed, changed)


def _load(connection: Connection[Any], data: DataSet, table: str) -> None:
    """Have the server read a table's file through our connection: NA is NULL, moments are in UTC."""
    columns = data.header(table)
    fields = ", ".join(f"@{column}" for column in columns)
    values = ", ".join(f"{column} = {_value(column)}" for column in columns)
    with data.open(table) as packed, tempfile.NamedTemporaryFile(suffix=".csv") as file:
        shutil.copyfileobj(packed, file)
        file.flush()
        with connection.cursor() as cursor:
            cursor.execute(
                f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE public.{table} CHARACTER SET utf8mb4 "
                f"FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"' IGNORE 1 LINES ({fields}) SET {values}"
            )


def _value(column: str) -> str:
    return f"STR_TO_DATE(@{column}, '%Y-%m-%dT%H:%i:%sZ')" if column == "time_hour" else f"NULLIF(@{column}, 'NA')"


# --- the day in MariaDB's SQL ----------------------------------------------------------------------------------------

_JOINED = f"public.flights f JOIN ahead.flights a ON {SAME_FLIGHT}"


def _departures(number: int) -> str:
    return f"""
UPDATE {_JOINED} SET f.dep_time = a.dep_time, f.dep_delay = a.dep_delay, f.tailnum = a.tailnum
WHERE a.hour = {number} AND a.dep_time IS NOT NULL"""


def _arrivals(number: int) -> str:
    return f"""
UPDATE {_JOINED} SET f.arr_time = a.arr_time, f.arr_delay = a.arr_delay, f.air_time = a.air_time
WHERE a.hour = {number} AND a.arr_time IS NOT NULL"""


def _cancellations(number: int) -> str:
    """In the first hour with the new column, those of all hours before as well."""
    hours = f"a.hour <= {number}" if number == RELEASE_HOUR else f"a.hour = {number}"
    return f"UPDATE {_JOINED} SET f.cancelled = TRUE WHERE {hours} AND a.dep_time IS NULL"


#: A table without a key has no name for one of two equal rows: both go, and one is entered again.
_REMOVE_DOUBLES = (
    (
        f"CREATE TEMPORARY TABLE ahead.doubles SELECT * FROM public.flights WHERE {TODAY} "
        f"GROUP BY {', '.join(FLIGHTS)}, cancelled HAVING COUNT(*) > 1"
    ),
    (
        f"DELETE f FROM public.flights f JOIN ahead.doubles d ON "
        f"{' AND '.join(f'f.{column} <=> d.{column}' for column in (*FLIGHTS, 'cancelled'))}"
    ),
    "INSERT INTO public.flights SELECT * FROM ahead.doubles",
)

_WITH_LOGBOOK = "SELECT tailnum FROM public.planes WHERE maintenance_log IS NOT NULL ORDER BY tailnum"

MARIADB = Dialect(
    write_logbook="UPDATE public.planes SET maintenance_log = "
    "CONCAT(maintenance_log, '\\n2013-02-08\\tde-icing checked\\\\ok') "
    "WHERE maintenance_log IS NOT NULL ORDER BY tailnum LIMIT 20",
    new_tail_numbers="UPDATE public.planes SET tailnum = CONCAT('X', SUBSTR(tailnum, 2)) "
    f"WHERE tailnum IN (SELECT tailnum FROM ({_WITH_LOGBOOK} LIMIT 10 OFFSET 30) chosen)",
    departures=_departures,
    arrivals=_arrivals,
    cancellations=_cancellations,
    # Without defaults: the log does not tell which value older rows got, so their table would be copied anew.
    release=(
        "ALTER TABLE public.flights ADD COLUMN cancelled boolean",
        "ALTER TABLE public.planes ADD COLUMN status varchar(20)",
    ),
    remove_doubles=_REMOVE_DOUBLES,
    put_on_record=f"INSERT INTO public.flights SELECT a.*, TRUE FROM ahead.flights a WHERE hour >= {WITHDRAWN_FROM}",
    recalculate="UPDATE public.weather SET wind_gust = ROUND(COALESCE(wind_gust, wind_speed * 1.4), 3)",
)
