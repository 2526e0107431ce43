"""The DAG file under the real Airflow, calling the real binary against the real engine."""

import json
import os
import sqlite3

import pytest

from conftest import DAGS, sql

DAG_ID = "bullion_gold_day_utc"


@pytest.fixture(scope="session")
def bag(project):
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(DAGS))


def test_the_file_loads_and_renders_a_task_per_job(bag):
    assert bag.import_errors == {}
    assert list(bag.dags) == [DAG_ID]
    tasks = bag.dags[DAG_ID].task_dict
    assert set(tasks) == {"daily_orders", "total_orders"}
    assert tasks["total_orders"].upstream_task_ids == {"daily_orders"}


def test_every_dag_keeps_the_contract(bag):
    dag = bag.dags[DAG_ID]
    assert dag.catchup is False
    assert dag.max_active_runs == 1
    for task in dag.tasks:
        assert task.retries >= 1
        assert task.execution_timeout
        assert task.append_env
        assert task.skip_on_exit_code == [99]
        assert "exec" in task.bash_command and "pipefail" in task.bash_command
        assert "{{" not in task.bash_command, "what a person types must not become a command"
        assert [outlet.name for outlet in task.outlets] == [f"dags_gold.{task.task_id}"]


@pytest.mark.parametrize(
    ("code", "action"), [(1, "default"), (2, "fail"), (3, "default"), (4, "fail"), (75, "default")]
)
def test_only_what_a_retry_can_mend_is_retried(bag, code, action):
    policy = bag.dags[DAG_ID].get_task("daily_orders").retry_policy
    said = Exception(f"Bash command failed. The command returned a non-zero exit code {code}.")
    assert policy.evaluate(said, 1, 5).action.value == action


def test_a_run_builds_the_gold_tables_and_hands_on_the_result(project):
    ran = project.airflow("dags", "test", DAG_ID, "2026-11-08")
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    # the interval that ends on the eighth is the seventh, and only that is built
    assert sql("SELECT day, orders, amount FROM dags_gold.daily_orders") == "2026-11-07\t7\t10.5"
    assert sql("SELECT day, orders FROM dags_gold.total_orders") == "2026-11-07\t7"
    for task in ["daily_orders", "total_orders"]:
        assert xcom(task)["status"] == "done"


def test_a_job_that_fails_fails_its_run_and_leaves_what_readers_see(project):
    before = sql("SELECT * FROM dags_gold.daily_orders ORDER BY ALL")
    sql("RENAME TABLE dags_source.orders TO dags_source.hidden")
    try:
        ran = project.airflow("dags", "test", DAG_ID, "2026-11-08")
    finally:
        sql("RENAME TABLE dags_source.hidden TO dags_source.orders")
    assert ran.returncode != 0
    assert sql("SELECT * FROM dags_gold.daily_orders ORDER BY ALL") == before


def xcom(task):
    with sqlite3.connect(os.path.join(os.environ["AIRFLOW_HOME"], "airflow.db")) as database:
        rows = database.execute(
            "SELECT value FROM xcom WHERE dag_id = ? AND task_id = ? AND key = 'return_value'", (DAG_ID, task)
        ).fetchall()
    assert len(rows) == 1
    value = json.loads(rows[0][0])
    return json.loads(value) if isinstance(value, str) else value
