"""What gold costs: rows that ClickHouse reads, its CPU, and the parts that are written. No figure before the answer is right.

gold.py BINARY FOLDER ROWS RESULTS RECOMPUTE KEYS
"""

import datetime
import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import silver
from engine import USER, Engine
from machine import commit, machine

DAY = 16  # the dirty one of thirty
FROM, TO = silver.FIRST_DAY, "2025-01-31"
COLUMNS = "toDate(placed_at) AS day, customer_id % 100 AS shard, count() AS orders, sum(amount) AS money"
WINDOW = "{from:DateTime64(3, 'UTC')}", "{to:DateTime64(3, 'UTC')}"
# How a job may ask for its window.
SOURCES = {
    "where": f"silver.orders WHERE placed_at >= {WINDOW[0]} AND placed_at < {WINDOW[1]}",
    "between": f"silver.orders_between(from = {WINDOW[0]}, to = {WINDOW[1]})",
}
GOLD = """
grain = "day"
time_column = "day"
order_by = ["day", "shard"]
depends_on = ["silver.orders"]
"""
# As much as is allowed to be read of the whole for one day of thirty.
ALLOWED = {("serial", False, "between"): 1 / 6, ("serial", True, "where"): 1 / 30, ("random", True, "where"): 1 / 30}
# Rows are read by granules, and where FINAL splits its work between two cores it reads one of each part twice.
GRANULE = 8192


class Wrong(Exception):
    """An answer that is not right, or a cost that is not allowed."""


class Project:
    """One silver table on an engine of its own, and a gold job for each way to ask for a window."""

    def __init__(self, binary: str, folder: Path, engine: Engine, rows: int, key: str, partitioned: bool) -> None:
        self.binary, self.folder, self.engine, self.rows, self.key = binary, folder, engine, rows, key
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("BULLION_")} | {
            "BULLION_CLICKHOUSE_URL": engine.url,
            "BULLION_CLICKHOUSE_USER": USER,
            "BULLION_CLICKHOUSE_PASSWORD": engine.password,
        }
        silver.declare(folder, partitioned)
        jobs = folder / "jobs" / "gold"
        jobs.mkdir(parents=True)
        for name, source in SOURCES.items():
            (jobs / f"{name}.toml").write_text(GOLD)
            (jobs / f"{name}.sql").write_text(f"SELECT {COLUMNS}\nFROM {source}\nGROUP BY day, shard\n")
        self.run("migrate")
        silver.fill(engine, rows, key)
        # where the plain queries write to
        engine.ask("CREATE TABLE gold.plain AS gold.where ENGINE = MergeTree PARTITION BY day ORDER BY (day, shard)")

    def run(self, *words: str) -> tuple[dict, dict]:
        """What a command answers, and its cost: its own CPU and the engine's."""
        before, began = self.engine.cpu(), time.monotonic()
        with (self.folder / "bullion.log").open("a") as log:
            process = subprocess.Popen(
                [self.binary, *words, "--output", "json"], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=log
            )
            assert process.stdout
            answer = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            raise RuntimeError(f"bullion {' '.join(words)} failed; see {self.folder}/bullion.log")
        cost = {
            "wall_s": round(time.monotonic() - began, 3),
            "engine_cpu_s": round(self.engine.cpu() - before, 3),
            "own_cpu_s": round(used.ru_utime + used.ru_stime, 3),
        }
        return json.loads(answer.splitlines()[-1]), cost

    def gold(self, job: str, *words: str) -> dict:
        answer, cost = self.run("gold", job, *words)
        done = answer["jobs"][0]
        return cost | {name: done[name] for name in ("read_rows", "built", "unchanged")}

    def plain(self, begin: str, end: str) -> dict:
        """The same rows by one INSERT SELECT FINAL of one's own."""
        sql = f"INSERT INTO gold.plain SELECT {COLUMNS} FROM {SOURCES['where']} GROUP BY day, shard"
        options = {"query": sql, "param_from": f"{begin} 00:00:00", "param_to": f"{end} 00:00:00", "wait_end_of_query": 1}
        request = urllib.request.Request(f"{self.engine.url}/?{urllib.parse.urlencode(options)}", b"", method="POST")
        request.add_header("X-ClickHouse-User", USER)
        request.add_header("X-ClickHouse-Key", self.engine.password)
        before, began = self.engine.cpu(), time.monotonic()
        with urllib.request.urlopen(request, timeout=3600) as answer:
            answer.read()
            summary = json.loads(answer.headers["X-ClickHouse-Summary"])
        return {
            "wall_s": round(time.monotonic() - began, 3),
            "engine_cpu_s": round(self.engine.cpu() - before, 3),
            "read_rows": int(summary["read_rows"]),
        }

    def check(self, table: str, touched_day: int | None = None) -> None:
        found = self.engine.ask(f"SELECT count(), sum(orders), sum(money) FROM gold.{table}")
        wanted = silver.right(self.engine, self.rows, touched_day)
        if found != wanted:
            raise Wrong(f"gold.{table} holds {found}, and it should hold {wanted}")

    def parts(self, table: str) -> str:
        return self.engine.ask(
            f"SELECT name, modification_time, rows FROM system.parts WHERE active AND database = 'gold' AND table = '{table}' ORDER BY name"
        )


def recompute(project: Project) -> dict:
    """Thirty windows by bullion and by hand; then again, which must write nothing."""
    days = [date(day) for day in range(silver.DAYS + 1)]
    by_hand: dict[str, float] = {}
    for begin, end in zip(days, days[1:], strict=False):
        for name, value in project.plain(begin, end).items():
            by_hand[name] = round(by_hand.get(name, 0) + value, 3)
    project.check("plain")
    built = project.gold("where", "--from", FROM, "--to", TO)
    project.check("where")
    if built["built"] != silver.DAYS:
        raise Wrong(f"{built['built']} windows were built")
    parts = project.parts("where")
    again = project.gold("where", "--from", FROM, "--to", TO)
    if project.parts("where") != parts or again["unchanged"] != silver.DAYS:
        raise Wrong("an unchanged window was written again")
    return {"plain_by_day": by_hand, "bullion_by_day": built, "unchanged": again}


def one_day(project: Project, partitioned: bool) -> dict:
    """One day of thirty by each way, beside one query over all of them; then the same day after late changes."""
    project.engine.ask("TRUNCATE TABLE gold.plain")
    whole = project.plain(FROM, TO)
    project.check("plain")
    silver.touch(project.engine, project.rows, project.key, DAY)
    wanted = silver.right(project.engine, project.rows, DAY)
    partition = f" AND partition_id = '{date(DAY).replace('-', '')}'" if partitioned else ""
    slack = GRANULE * int(project.engine.ask(
        f"SELECT greatest(4, count()) FROM system.parts WHERE active AND database = 'silver' AND table = 'orders_versions'{partition}"
    ))  # fmt: skip
    found: dict[str, dict] = {"whole": whole}
    for job in SOURCES:
        # the other days are as they were: their rows by hand, and this day's by bullion
        project.engine.ask(f"TRUNCATE TABLE gold.{job}")
        project.engine.ask(f"INSERT INTO gold.{job} SELECT * FROM gold.plain WHERE day != '{date(DAY)}'")
        cost = project.gold(job, "--date", date(DAY))
        held = project.engine.ask(f"SELECT count(), sum(orders), sum(money) FROM gold.{job}")
        if held != wanted:
            raise Wrong(f"gold.{job} holds {held} after late changes, and it should hold {wanted}")
        share = cost["read_rows"] / whole["read_rows"]
        allowed = ALLOWED.get((project.key, partitioned, job))
        if allowed and cost["read_rows"] > allowed * whole["read_rows"] + slack:
            raise Wrong(f"one day read {share:.3f} of all rows by {job}, and {allowed:.3f} is allowed")
        found[job] = cost | {"share": round(share, 4)}
    return found


def date(day: int) -> str:
    return str(datetime.date.fromisoformat(FROM) + datetime.timedelta(days=day))


def main(binary: str, folder: Path, rows: int, results: Path, with_recompute: bool, keys: list[str]) -> None:
    figures: dict[str, dict] = {}
    load = os.getloadavg()[0]
    for key in keys:
        for partitioned in (False, True):
            name = f"{key} keys, {'a partition a day' if partitioned else 'no partitions'}"
            say(f"{rows} orders, {name}")
            place = folder / f"{key}-{partitioned}"
            with Engine(binary, place / "engine") as engine:
                project = Project(binary, place, engine, rows, key, partitioned)
                figures[name] = {"parts": int(engine.ask(
                    "SELECT count() FROM system.parts WHERE active AND database = 'silver' AND table = 'orders_versions'"
                ))}  # fmt: skip
                if with_recompute:
                    figures[name] |= recompute(project)
                figures[name] |= one_day(project, partitioned)
            say(json.dumps(figures[name]))
            subprocess.run(["rm", "-rf", place], check=True)
    print(table(rows, figures))
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a") as file:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        on = machine() | {"load_at_start": round(load, 1)}
        file.write(json.dumps({"date": now, "commit": commit(), "machine": on, "rows": rows, "gold": figures}) + "\n")


def table(rows: int, figures: dict[str, dict]) -> str:
    lines = [f"{rows} orders of thirty days; every answer was right", ""]
    lines += ["| silver | all days, one query: rows read, CPU-s | one day by WHERE | one day by _between |", "|---|---|---|---|"]
    for name, found in figures.items():

        def cell(cost: dict) -> str:
            share = f" ({cost['share']:.1%})" if "share" in cost else ""
            return f"{cost['read_rows'] / 1e6:,.2f} M{share}, {cost['engine_cpu_s']:.2f}"

        lines.append(f"| {name} | " + " | ".join(cell(found[way]) for way in ("whole", *SOURCES)) + " |")
    for name, found in figures.items():
        if "plain_by_day" not in found:
            continue
        hand, ours, again = found["plain_by_day"], found["bullion_by_day"], found["unchanged"]
        lines.append(
            f"{name}: thirty windows by INSERT SELECT FINAL {hand['wall_s']:.2f} s, {hand['engine_cpu_s']:.2f} CPU-s;"
            f" by bullion {ours['wall_s']:.2f} s, {ours['engine_cpu_s'] + ours['own_cpu_s']:.2f} CPU-s"
            f" (speed {hand['wall_s'] / ours['wall_s']:.2f}); unchanged {again['wall_s']:.2f} s, no part written"
        )
    return "\n".join(lines)


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    binary, folder, rows, results, again, keys = sys.argv[1:]
    try:
        main(str(Path(binary).resolve()), Path(folder), int(rows), Path(results), again == "1", keys.split(","))
    except Wrong as wrong:
        sys.exit(f"bench: no figures: {wrong}")
    except (RuntimeError, subprocess.CalledProcessError) as failed:
        sys.exit(f"bench: {failed}")
