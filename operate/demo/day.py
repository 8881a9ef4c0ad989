"""8 February 2013 in New York, hour by hour: what the application at the source does. SQL only; the rows are real.

What is real: the day's flights, their delays and cancellations, and the weather. What is made up around it, so that
every kind of change occurs: repairs and new tail numbers of planes, a clerk's mistakes, the two new columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from operate.demo.source_tables import TODAY

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    Hourly = Callable[[int], str]

#: The first and the last hour with planned departures.
FIRST_HOUR, LAST_HOUR = 5, 23
#: Hours from a departure to the arrival, so far as this day is concerned.
FLYING = 2
#: The hour in which the application learns of cancellations: its release brings new columns.
RELEASE_HOUR = 11
#: Flights from this hour on are taken out of the schedule in the afternoon, and put on record again at night.
WITHDRAWN_FROM = 18

#: ahead.flights is the day as it will turn out, public.flights what is known so far.
SAME_FLIGHT = (
    "f.month = a.month AND f.day = a.day AND f.hour = a.hour AND f.carrier = a.carrier AND f.flight = a.flight"
)


@dataclass(frozen=True, slots=True)
class Scene:
    """One transaction at the source: the time of day, what happens, and its statements."""

    clock: str
    title: str
    statements: tuple[str, ...]
    commits: bool = True


@dataclass(frozen=True, slots=True)
class Dialect:
    """What the two kinds of source spell in their own ways; the day's hours come by number."""

    write_logbook: str
    new_tail_numbers: str
    departures: Hourly
    arrivals: Hourly
    cancellations: Hourly
    release: tuple[str, ...]
    remove_doubles: tuple[str, ...]
    put_on_record: str
    recalculate: str


def scenes(sql: Dialect | None = None) -> list[Scene]:
    """Return the whole day in order, in PostgreSQL's SQL or in that of another source."""
    sql = sql or POSTGRESQL
    hours = range(FIRST_HOUR, LAST_HOUR + 1)
    return [*night(sql), *(scene for number in hours for scene in hour(sql, number)), *evening(sql)]


def night(sql: Dialect) -> list[Scene]:
    """Return what happens before the first departure, while the tables are still being copied."""
    return [
        *(_schedule(origin) for origin in ("EWR", "JFK", "LGA")),
        Scene("02:00", "one plane in ten is inspected, the long logbooks untouched", (_INSPECT,)),
        Scene("02:30", "20 logbooks get a new page", (sql.write_logbook,)),
        Scene("03:00", "10 planes get new tail numbers, keys change", (sql.new_tail_numbers,)),
        Scene("03:15", "two planes swap their tail numbers in one transaction", _SWAP),
        Scene("03:30", "AirTran (FL) gets another code, a key change", (_NEW_CARRIER_CODE,)),
        Scene("04:00", "a clerk deletes all flights of the day, and rolls back", (_DELETE_DAY,), commits=False),
        Scene("04:30", "a clerk enters seven flights twice", (_ENTER_TWICE,)),
        Scene("04:45", "the night's weather", tuple(_weather(hour) for hour in range(FIRST_HOUR))),
    ]


def hour(sql: Dialect, number: int) -> list[Scene]:
    """Return the transactions of an hour: weather, departures, arrivals and cancellations, and the day's incidents."""
    statements = [_weather(number), sql.departures(number), sql.arrivals(number - FLYING)]
    if number >= RELEASE_HOUR:
        statements.append(sql.cancellations(number))
    traffic = Scene(f"{number:02}:00", f"weather, departures and arrivals of {number:02}:00", tuple(statements))
    return [traffic, *_incidents(sql).get(number, [])]


def evening(sql: Dialect) -> list[Scene]:
    """Return how the day ends."""
    return [
        Scene("23:40", "withdrawn flights are put on record as cancelled", (sql.put_on_record,)),
        Scene("23:50", "all gusts of the year are recalculated, in one transaction", (sql.recalculate,)),
    ]


def play(connection: psycopg.Connection[Any], scene: Scene) -> int:
    """Run one transaction; return the rows that it changed for good (a truncate counts what it removes)."""
    changed = 0
    with connection.transaction(force_rollback=not scene.commits):
        for statement in scene.statements:
            changed += _run(connection, statement)
    return changed if scene.commits else 0


def _run(connection: psycopg.Connection[Any], statement: str) -> int:
    if statement.startswith("TRUNCATE "):
        row = connection.execute(f"SELECT count(*) FROM {statement.removeprefix('TRUNCATE ')}").fetchone()
        connection.execute(statement)
        return int(row[0]) if row else 0
    return max(0, connection.execute(statement).rowcount)


# --- the night -------------------------------------------------------------------------------------------------------


def _schedule(origin: str) -> Scene:
    return Scene("00:00", f"the day's schedule from {origin} is entered", (_SCHEDULE.format(origin=origin),))


_SCHEDULE = """
INSERT INTO public.flights (year, month, day, sched_dep_time, sched_arr_time, carrier, flight, tailnum, origin, dest,
                            distance, hour, minute, time_hour)
SELECT year, month, day, sched_dep_time, sched_arr_time, carrier, flight, tailnum, origin, dest,
       distance, hour, minute, time_hour
FROM ahead.flights WHERE origin = '{origin}'"""

_INSPECT = "UPDATE public.planes SET seats = seats + 1 WHERE maintenance_log IS NOT NULL"

_WITH_LOGBOOK = "SELECT tailnum FROM public.planes WHERE maintenance_log IS NOT NULL ORDER BY tailnum"

_WRITE_LOGBOOK = f"""
UPDATE public.planes SET maintenance_log = maintenance_log || E'\\n2013-02-08\\tde-icing checked\\\\ok'
WHERE tailnum IN ({_WITH_LOGBOOK} LIMIT 20)"""

#: The logbook is not sent: delete and insert could not rebuild the row.
_NEW_TAIL_NUMBERS = f"""
UPDATE public.planes SET tailnum = 'X' || substr(tailnum, 2) WHERE tailnum IN ({_WITH_LOGBOOK} OFFSET 30 LIMIT 10)"""

_SWAP = (
    "UPDATE public.planes SET tailnum = 'SWAP' WHERE tailnum = 'N10156'",
    "UPDATE public.planes SET tailnum = 'N10156' WHERE tailnum = 'N102UW'",
    "UPDATE public.planes SET tailnum = 'N102UW' WHERE tailnum = 'SWAP'",
)

_NEW_CARRIER_CODE = "UPDATE public.airlines SET carrier = 'F1' WHERE carrier = 'FL'"

_DELETE_DAY = f"DELETE FROM public.flights WHERE {TODAY}"

#: Rows that are equal in every column: a table without a key may have them.
_ENTER_TWICE = f"""
INSERT INTO public.flights SELECT * FROM public.flights WHERE {TODAY} AND hour < 12 ORDER BY carrier, flight LIMIT 7"""


# --- an hour of the day ----------------------------------------------------------------------------------------------


def _weather(number: int) -> str:
    return f"INSERT INTO public.weather SELECT * FROM ahead.weather WHERE hour = {number}"


def _departures(number: int) -> str:
    return f"""
UPDATE public.flights f SET dep_time = a.dep_time, dep_delay = a.dep_delay, tailnum = a.tailnum
FROM ahead.flights a WHERE a.hour = {number} AND a.dep_time IS NOT NULL AND {SAME_FLIGHT}"""


def _arrivals(number: int) -> str:
    return f"""
UPDATE public.flights f SET arr_time = a.arr_time, arr_delay = a.arr_delay, air_time = a.air_time
FROM ahead.flights a WHERE a.hour = {number} AND a.arr_time IS NOT NULL AND {SAME_FLIGHT}"""


def _cancellations(number: int) -> str:
    """In the first hour with the new column, those of all hours before as well."""
    hours = f"a.hour <= {number}" if number == RELEASE_HOUR else f"a.hour = {number}"
    return f"""
UPDATE public.flights f SET cancelled = true
FROM ahead.flights a WHERE {hours} AND a.dep_time IS NULL AND {SAME_FLIGHT}"""


# --- incidents -------------------------------------------------------------------------------------------------------

_GROUND = f"""
UPDATE public.planes SET status = 'grounded'
WHERE tailnum IN (SELECT tailnum FROM public.flights WHERE {TODAY} AND cancelled)"""

_WITHDRAW = f"DELETE FROM public.flights WHERE {TODAY} AND hour >= {WITHDRAWN_FROM}"

_REMOVE_DOUBLES = f"""
DELETE FROM public.flights WHERE ctid IN (
    SELECT max(ctid) FROM public.flights f WHERE {TODAY} GROUP BY f HAVING count(*) > 1)"""

_CORRECT_WEATHER = f"UPDATE public.weather SET temp = temp - 0.5 WHERE {TODAY} AND origin = 'JFK'"


def _incidents(sql: Dialect) -> dict[int, list[Scene]]:
    """Return the day's incidents by the hour whose traffic they follow."""
    reload = ("TRUNCATE public.airports", "INSERT INTO public.airports SELECT * FROM ahead.airports")
    grounded = "planes of cancelled flights are grounded, and the evening is withdrawn, in one transaction"
    return {
        7: [Scene("07:30", "JFK's thermometer was half a degree off: updates", (_CORRECT_WEATHER,))],
        10: [Scene("10:30", "release of the application: new columns", sql.release)],
        13: [Scene("13:30", "airports are truncated and loaded again", reload)],
        14: [Scene("14:30", grounded, (_GROUND, _WITHDRAW))],
        15: [Scene("15:30", "the seven double entries are found: one of each pair goes", sql.remove_doubles)],
    }


# --- the evening -----------------------------------------------------------------------------------------------------

_PUT_ON_RECORD = f"""
INSERT INTO public.flights SELECT *, true FROM ahead.flights WHERE hour >= {WITHDRAWN_FROM}"""

_RECALCULATE = "UPDATE public.weather SET wind_gust = round(coalesce(wind_gust, wind_speed * 1.4)::numeric, 3)"

_RELEASE = (
    "ALTER TABLE public.flights ADD COLUMN cancelled boolean NOT NULL DEFAULT false",
    "ALTER TABLE public.planes ADD COLUMN status text NOT NULL DEFAULT 'in service'",
)

POSTGRESQL = Dialect(
    write_logbook=_WRITE_LOGBOOK,
    new_tail_numbers=_NEW_TAIL_NUMBERS,
    departures=_departures,
    arrivals=_arrivals,
    cancellations=_cancellations,
    release=_RELEASE,
    remove_doubles=(_REMOVE_DOUBLES,),
    put_on_record=_PUT_ON_RECORD,
    recalculate=_RECALCULATE,
)
