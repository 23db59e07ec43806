"""Runs bench/client against a server, and reads what it measured. Each load ends by itself."""

import contextlib
import subprocess
import sys

from heads import HEADS
from servers import PAGE, client

# Seconds after which a load is over, whatever became of it.
LIMIT = 20

# Loads of which not every request was answered with 200: the program, what it was asked, what it answered.
unanswered = []


class Figures(dict):
    """What one load measured: `ok`, `refused`, `failed`, `seconds`, `rate`, latencies in µs (`p50` ... `max`), `cpu` in seconds and `memory` in bytes."""

    @property
    def cpu_of_100_000(self):
        return self["cpu"] * 100_000 / self["ok"]

    @property
    def cpu_us(self):
        return self["cpu"] * 1e6 / self["ok"]

    @property
    def wall_us(self):
        return self["seconds"] * 1e6 / self["ok"]


def load(server, requests, connections=1, head="wrk", path=PAGE, **options):
    """Runs so many requests. What is not answered with 200 is noted in `unanswered`."""
    command = arguments("load", server, head, path, connections=connections, requests=requests, **options)
    before = server.cpu()
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    memory, line = None, ""
    for line in running.stdout:
        if line == "half\n":
            memory = server.memory()
    _, complaint = running.communicate(timeout=LIMIT + 30)
    if running.returncode:
        raise SystemExit(f"{server.name}: {complaint}")
    figures = Figures({name: float(value) for name, _, value in (pair.partition("=") for pair in line.split())})
    figures["cpu"], figures["memory"] = server.cpu() - before, memory
    if figures["ok"] == 0:
        raise SystemExit(f"{server.name}: {' '.join(command)}\n{line}{complaint}")
    if figures["ok"] < requests:
        asked = f"{requests:,} requests of {path.partition('{')[0]}, head {head}, over {connections:,} connections"
        failure = complaint.strip().rpartition(": ")[2]
        unanswered.append(f"{server.name}: {requests - figures['ok']:,.0f} of {asked} not answered with 200 ({failure})")
        print(f"  {unanswered[-1]}", file=sys.stderr)
    return figures


@contextlib.contextmanager
def held(server, connections, path=PAGE, answered="yes"):
    """So many connections that were used once and are idle, or that wait for an answer."""
    command = arguments("hold", server, "wrk", path, connections=connections, answered=answered)
    holding = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = holding.stdout.readline()
        if not line.startswith("ready "):
            raise SystemExit(f"{server.name} with {connections} connections: {holding.stderr.read()}")
        missing = int(line.rpartition("=")[2])
        if missing:
            unanswered.append(f"{server.name}: {missing:,} of {connections:,} connections opened one after another not answered")
        yield
    finally:
        # The end of its input ends it.
        holding.communicate(timeout=30)


def arguments(mode, server, head, path, **options):
    command = [client(), mode, "--address", f"127.0.0.1:{server.port}", "--path", path, "--limit", str(LIMIT)]
    fields = HEADS[head]
    if options.get("each") == 1:
        fields = [field for field in fields if not field.startswith("Connection:")] + ["Connection: close"]
    for field in fields:
        command += ["--field", field]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    return command
