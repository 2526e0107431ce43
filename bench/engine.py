"""An engine process of one contender: started fresh, asked over HTTP, measured from /proc, stopped."""

import json
import os
import secrets
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

USER = "bench"
TICKS = os.sysconf("SC_CLK_TCK")
START_DEADLINE = 60  # seconds
# Merges that go on for longer are not waited for.
SETTLE_DEADLINE = 60  # seconds


def cpu_seconds(pid: int) -> float:
    """User and system time of every thread, dead ones too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory(pid: int) -> int:
    """Bytes: the most that was resident at a time."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class Engine:
    def __init__(self, binary: str, folder: Path) -> None:
        self.password = secrets.token_hex(12)
        folder.mkdir(parents=True)
        environment = os.environ | {"BULLION_ENGINE_USER": USER, "BULLION_ENGINE_PASSWORD": self.password}
        self.log = (folder / "engine.log").open("w")
        self.process = subprocess.Popen(
            [binary, "engine", "--data", str(folder / "data"), "--listen", "127.0.0.1:0", "--with-starter"],
            env=environment, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        announcement = folder / "data" / "engine.json"
        until = time.monotonic() + START_DEADLINE
        while not announcement.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the engine did not start; see {self.log.name}")
            time.sleep(0.05)
        self.url = json.loads(announcement.read_text())["url"]

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def ask(self, sql: str, body: bytes = b"") -> str:
        url = f"{self.url}/?{urllib.parse.urlencode({'query': sql})}" if body else self.url
        request = urllib.request.Request(url, body or sql.encode())
        request.add_header("X-ClickHouse-User", USER)
        request.add_header("X-ClickHouse-Key", self.password)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read().decode().strip()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"the engine refused: {error.read().decode()[:500]}") from None

    def cpu(self) -> float:
        return cpu_seconds(self.process.pid)

    def memory(self) -> int:
        return peak_memory(self.process.pid)

    def settle(self) -> None:
        """Returns when no merge has run for a second."""
        until, quiet = time.monotonic() + SETTLE_DEADLINE, 0
        while quiet < 4 and time.monotonic() < until:
            quiet = quiet + 1 if self.ask("SELECT count() FROM system.merges") == "0" else 0
            time.sleep(0.25)
