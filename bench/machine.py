"""What a reader needs to judge figures: the code and the machine, and neither names nor paths."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent


def commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", HERE, *words], capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "../src", "../Cargo.lock")
    return git("rev-parse", "--short", "HEAD") + ("+changes" if changed else "")


def machine() -> dict[str, object]:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"processor": models[0] if models else "unknown", "cores": os.cpu_count(), "memory_gib": round(pages / 2**30)}
