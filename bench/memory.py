"""What ingest holds at most over a backlog far larger: memory.py BINARY BROKERS FOLDER PASSES LARGE SEED RESULTS

No figure is told before silver equals the fold and every large message is a dead letter with all of its bytes.
"""

import dataclasses
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

from contest import Contest, WrongAnswer, bullion
from engine import Engine
from machine import commit, machine
from main import HERE, MIB, TOPIC, keep, say

LARGE_BYTES = 64 << 20


def main(binary: str, brokers: str, folder: Path, passes: int, large: int, seed: int, results: Path) -> None:
    contest = Contest(binary, brokers, TOPIC, 0, folder / "fold.tsv", folder)
    say(f"filling {TOPIC}")
    topic = fill(contest, passes, large, seed)
    say(f"draining {topic['events']} messages and {large} of {LARGE_BYTES // MIB} MiB")
    load = os.getloadavg()[0]
    run = bullion(contest, 0, lambda engine: verify_letters(engine, large))
    print(
        f"{topic['events']} messages and {large} of {LARGE_BYTES // MIB} MiB in {topic['partitions']} partitions; "
        f"the table equals the fold: {run.checksum}\n"
        f"peak memory: ingest {run.ingest_peak_bytes / MIB:.0f} MiB, ClickHouse {run.engine_peak_bytes / MIB:.0f} MiB\n"
        f"CPU: ingest {run.ingest_cpu_s:.1f} s, ClickHouse {run.engine_cpu_s:.1f} s; drained after {run.wall_s:.0f} s"
    )
    keep(results, {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine() | {"load_at_start": round(load, 1)},
        "topic": topic | {"seed": seed},
        "bullion": dataclasses.asdict(run),
    })  # fmt: skip
    say(f"appended to {results}")


def fill(contest: Contest, passes: int, large: int, seed: int) -> dict[str, int]:
    command = [
        sys.executable, HERE / "backlog.py", contest.brokers, TOPIC,
        *map(str, (passes, seed, contest.fold, large, LARGE_BYTES)),
    ]  # fmt: skip
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def verify_letters(engine: Engine, large: int) -> None:
    whole = f"countIf(reason = 'too_large' AND length(value) = {LARGE_BYTES})"
    found, wanted = engine.ask(f"SELECT count(), {whole} FROM ops.dead_letters FINAL"), f"{large}\t{large}"
    if found != wanted:
        raise WrongAnswer(f"dead letters, and those that are whole: {found}; there should be {wanted}")


if __name__ == "__main__":
    binary, brokers, folder, passes, large, seed, results = sys.argv[1:]
    try:
        main(binary, brokers, Path(folder), int(passes), int(large), int(seed), Path(results))
    except WrongAnswer as wrong:
        sys.exit(f"bench: no figures, the answer is wrong: {wrong}")
    except (RuntimeError, subprocess.CalledProcessError) as failed:
        sys.exit(f"bench: {failed}")
