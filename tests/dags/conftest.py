"""A project of two gold jobs on the running stack's ClickHouse, and an Airflow of its own."""

import os
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
DAGS = CHECKOUT / "dags"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", CHECKOUT / "target"))

DAILY = """grain = "day"
time_column = "day"
order_by = ["day", "shop"]
"""
DAILY_SQL = """SELECT toDate(at) AS day, shop, count() AS orders, sum(amount) AS amount
FROM dags_source.orders
WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}
GROUP BY day, shop
"""
TOTAL = """grain = "day"
time_column = "day"
order_by = ["day"]
depends_on = ["gold.daily_orders"]
"""
TOTAL_SQL = """SELECT day, sum(orders) AS orders
FROM dags_gold.daily_orders
WHERE day >= toDate({from:DateTime64(3, 'UTC')}) AND day < toDate({to:DateTime64(3, 'UTC')})
GROUP BY day
"""
# ten days, the number of orders of a day is its day of the month
SOURCE = """CREATE TABLE dags_source.orders ENGINE = MergeTree ORDER BY at AS
SELECT toDateTime64('2026-11-01 12:00:00', 3, 'UTC') + toIntervalDay(d) AS at, 'a' AS shop, 1.5 AS amount
FROM (SELECT number AS d FROM numbers(10)) AS days ARRAY JOIN range(d + 1) AS n"""


def address(name):
    value = os.environ.get(name)
    assert value, f"{name} is not set: run by `make test`, or `make stack-up` and source .stack/env"
    return value


def sql(statement):
    request = urllib.request.Request(
        address("BULLION_CLICKHOUSE_URL") + "/",
        data=statement.encode(),
        headers={
            "X-ClickHouse-User": address("BULLION_CLICKHOUSE_USER"),
            "X-ClickHouse-Key": address("BULLION_CLICKHOUSE_PASSWORD"),
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode().strip()


class Project:
    def __init__(self, folder):
        self.folder = folder
        self.binary = os.environ.get("BULLION_BIN", str(TARGET / "debug" / "bullion"))
        os.environ.update(
            BULLION_BIN=self.binary,
            BULLION_PROJECT=str(folder),
            BULLION_MANIFEST=str(folder / "manifest.json"),
            BULLION_CLICKHOUSE_GOLD="dags_gold",
            BULLION_CLICKHOUSE_OPS="dags_ops",
        )

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *arguments):
        ran = subprocess.run([self.binary, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def airflow(self, *arguments):
        program = Path(sys.executable).parent / "airflow"
        return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(DAGS),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__CORE__UNIT_TEST_MODE="False",
    )
    made = Project(tmp_path_factory.mktemp("project"))
    for database in ["dags_source", "dags_gold", "dags_ops"]:
        sql(f"DROP DATABASE IF EXISTS {database}")
    sql("CREATE DATABASE dags_source")
    sql(SOURCE)
    made.write("bullion.toml", "")
    made.write("jobs/gold/daily_orders.toml", DAILY)
    made.write("jobs/gold/daily_orders.sql", DAILY_SQL)
    made.write("jobs/gold/total_orders.toml", TOTAL)
    made.write("jobs/gold/total_orders.sql", TOTAL_SQL)
    made.run("migrate")
    made.write("manifest.json", made.run("manifest", "--output", "json"))
    migrated = made.airflow("db", "migrate")
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    return made
