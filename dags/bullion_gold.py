"""Gold tables, one task per job, drawn from bullion's manifest.

Windows are decided by bullion; Airflow only says which and when. Jobs whose windows have the same edges (grain and
zone) share a DAG, because a run's data interval has to be one of their windows:

    bullion_gold_day_utc            every midnight in UTC       [yesterday, today)
    bullion_gold_hour_europe_berlin every full hour in Berlin   [last hour, this hour)

Write the manifest whenever jobs change: `bullion manifest --output json > manifest.json`. Read from the environment:

    BULLION_MANIFEST  the manifest            default: manifest.json beside bullion.toml
    BULLION_PROJECT   folder of bullion.toml  default: the folder that holds dags/
    BULLION_BIN       the binary              default: bullion on the PATH
"""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pendulum
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Asset, CronDataIntervalTimetable, Param, RetryDecision, RetryPolicy

PROJECT = Path(os.environ.get("BULLION_PROJECT", Path(__file__).resolve().parent.parent))
MANIFEST = Path(os.environ.get("BULLION_MANIFEST", PROJECT / "manifest.json"))
MANIFEST_VERSION = 1
CLICKHOUSE = urlsplit(os.environ.get("BULLION_CLICKHOUSE_URL", "http://127.0.0.1:8123")).netloc

# Midnight and the full hour are where windows meet. The jobs' own cron lines are for `bullion schedule`: here a scheduled
# window whose data is late answers with exit code 75, and the task comes back; a run by hand builds what it is told.
EDGES = {"hour": "0 * * * *", "day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *", "table": "0 0 * * *"}

# What a retry cannot mend. Everything else, late data and a held lease included, is tried again.
FATAL = {2: "usage or configuration", 4: "an audit blocked the swap"}

# Values reach the shell by its environment only: what is typed into the trigger form is never part of a command.
GOLD = 'set -euo pipefail; exec "${BULLION_BIN:-bullion}" gold "$GOLD_JOB" '
COMMAND = GOLD + '--from "$WINDOW_FROM" --to "$WINDOW_TO" $WINDOW_WAIT $WINDOW_LOOKBACK --output json'
# a whole table has no range
TABLE_COMMAND = GOLD + "$WINDOW_WAIT --output json"
# Instants, not dates: another zone's date is another window. Empty where a run has no interval, which bullion refuses.
WINDOW = {
    "WINDOW_FROM": "{{ params['from'] or (data_interval_start.isoformat() if data_interval_start is defined else '') }}",
    "WINDOW_WAIT": "{{ '--if-complete' if dag_run.run_type == 'scheduled' else '' }}",
    "WINDOW_LOOKBACK": "{{ '--lookback' if dag_run.run_type == 'scheduled' else '' }}",
    "WINDOW_TO": "{{ params['to'] or (data_interval_end.isoformat() if data_interval_end is defined else '') }}",
}


class FailFast(RetryPolicy):
    """Spends no retry on an exit code that will come again."""

    def evaluate(self, exception, try_number, max_tries, context=None):
        found = re.search(r"exit code (\d+)\.", str(exception))
        why = FATAL.get(int(found.group(1))) if found else None
        return RetryDecision.fail(f"exit {found.group(1)}: {why}") if why else RetryDecision.default()


def asset(target: str) -> Asset:
    return Asset(name=target, uri=f"clickhouse://{CLICKHOUSE}/{target.replace('.', '/')}")


def task(job: dict) -> BashOperator:
    return BashOperator(
        task_id=job["name"],
        bash_command=TABLE_COMMAND if job["grain"] == "table" else COMMAND,
        env={"GOLD_JOB": job["name"], **WINDOW},
        append_env=True,
        cwd=str(PROJECT),
        skip_on_exit_code=99,
        output_processor=json.loads,
        outlets=[asset(job["target"])],
        retry_policy=FailFast(),
    )


def dag(grain: str, zone: str, jobs: list[dict]) -> DAG:
    slug = re.sub(r"[^a-z0-9]+", "_", zone.lower())
    with DAG(
        f"bullion_gold_{grain}_{slug}",
        description=f"Gold jobs with windows of one {grain} in {zone}",
        # a plain cron string would give intervals without width
        schedule=CronDataIntervalTimetable(EDGES[grain], timezone=zone),
        start_date=pendulum.datetime(2024, 1, 1, tz=zone),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=12),
        default_args={
            "retries": 5,
            "retry_delay": timedelta(minutes=2),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(minutes=30),
            "execution_timeout": timedelta(hours=2),
        },
        params={
            "from": Param(None, type=["null", "string"], format="date", title="From", description="first day"),
            "to": Param(None, type=["null", "string"], format="date", title="To", description="first day after"),
        },
        tags=["bullion", "gold"],
        doc_md=__doc__,
    ) as made:
        tasks = {job["name"]: task(job) for job in jobs}
        for job in jobs:
            for dependency in job["depends_on"]:
                layer, _, name = dependency.partition(".")
                if layer == "gold" and name in tasks:
                    tasks[name] >> tasks[job["name"]]
    return made


def jobs() -> list[dict]:
    try:
        manifest = json.loads(MANIFEST.read_text())
    except FileNotFoundError:
        raise FileNotFoundError(f"{MANIFEST}: write it by `bullion manifest --output json > {MANIFEST}`") from None
    if manifest["manifest_version"] != MANIFEST_VERSION:
        raise ValueError(f"{MANIFEST} is of version {manifest['manifest_version']}, this file reads {MANIFEST_VERSION}")
    return manifest["gold"]


grouped: dict[tuple[str, str], list[dict]] = {}
for declared in jobs():
    grouped.setdefault((declared["grain"], declared["zone"]), []).append(declared)
for (grain, zone), members in grouped.items():
    made = dag(grain, zone, members)
    globals()[made.dag_id] = made
