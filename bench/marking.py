"""What it costs an event that its windows of gold are marked, for each way of knowing the time that a row had before.

marking.py BINARY BROKERS FOLDER EVENTS ROUNDS

The same topic, of the bench's own events, is ingested under four jobs, by turns, each on a fresh engine: without a time
column; with one that never changes; with one that every update moves, told by the image before, and looked up. Its events
are a day of the source's, so that a block touches many quarters of an hour. Every table has to equal the fold.
"""

import sys
from pathlib import Path
from statistics import median

import contest
import events
import produce

TOPIC = "bench.public.orders"
WAYS = {
    "no time column": "",
    "immutable": 'time_column = "created_at"\nimmutable = ["created_at"]\n',
    "image before": 'time_column = "updated_at"\nbefore_image = true\n',
    "looked up": 'time_column = "updated_at"\n',
}


def main(binary: str, brokers: str, folder: Path, count: int, rounds: int) -> None:
    events.SOURCE_STEP_US = 86_400_000_000 // count
    folder.mkdir(parents=True, exist_ok=True)
    measured = contest.Contest(binary, brokers, TOPIC, count, folder / "fold.tsv", folder)
    produce.main(brokers, TOPIC, count, 1, str(measured.fold))
    job = (contest.JOBS / "silver/orders.toml").read_text()
    runs: dict[str, list[contest.Run]] = {way: [] for way in WAYS}
    number = 0
    for _ in range(rounds):
        for way, lines in WAYS.items():
            number += 1
            contest.JOBS = folder / f"jobs-{number}"
            (contest.JOBS / "silver").mkdir(parents=True)
            (contest.JOBS / "silver/orders.toml").write_text(lines + job)
            runs[way].append(contest.bullion(measured, number))
    print(f"{count} events, median of {rounds} rounds; CPU of an event in µs")
    print(f"{'':<16}{'ingest':>10}{'ClickHouse':>12}{'merges after':>14}{'drained after, s':>18}")
    for way, done in runs.items():
        ingest, engine, settle = (
            median(getattr(run, figure) for run in done) / count * 1e6
            for figure in ("ingest_cpu_s", "engine_cpu_s", "settle_cpu_s")
        )
        wall = median(run.wall_s for run in done)
        print(f"{way:<16}{ingest:>10.2f}{engine:>12.2f}{settle:>14.2f}{wall:>18.1f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
