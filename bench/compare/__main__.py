"""Larder beside nginx and Varnish, each as a cache before the same origin, in one run; prints Markdown. See compare.sh."""

import os
import pathlib
import platform
import signal
import statistics
import sys
import tempfile
import time

import load
import servers

ROUNDS, SECONDS = 3, 4
CONNECTIONS = (2, 64, 256)
RATE, PERCENTILES = 4000, (50, 90, 99, 99.9)
CROWD, HANGING = 500, 100
STARTS = 5
NAMES = tuple(servers.CACHES)


def main():
    with tempfile.TemporaryDirectory() as scratch:
        # nginx's workers give up root, and reach their files through here.
        os.chmod(scratch, 0o755)
        running = []
        try:
            print(report(measure(pathlib.Path(scratch), running)))
        finally:
            for server in reversed(running):
                server.stop()


def measure(scratch, running):
    """Every figure: by what it is of, then by program."""
    origin = servers.origin(scratch)
    running.append(origin)
    origin.start()
    figures = {"start": starts(scratch, running, origin)}
    caches = []
    for name in NAMES:
        cache = servers.CACHES[name](scratch / name, origin.port)
        running.append(cache)
        cache.start()
        caches.append(cache)
    figures["sizes"] = {cache.name: cache.sizes() for cache in caches}
    expect_same_bytes(origin, caches)
    time.sleep(1)
    figures["idle"] = {cache.name: cache.memory() for cache in caches}
    for connections in CONNECTIONS:
        figures["wrk", connections] = in_turn(caches, lambda cache: load.wrk(cache, connections, SECONDS))
    figures["latency"] = in_turn(caches, lambda cache: latency(*load.at_rate(cache, RATE, SECONDS)))
    count = lambda path: int(servers.ask(origin.port, f"/count{path}")[1])
    crowd = lambda cache: load.coalesced(cache, count, f"/slow/{cache.name}/{time.monotonic_ns()}", CROWD)
    figures["coalesced"] = in_turn(caches, crowd)
    figures["hanging"] = in_turn(caches, lambda cache: while_hanging(cache, origin))
    return figures


def starts(scratch, running, origin):
    """Seconds from the start of the process to its first answer from the origin."""
    taken = {name: [] for name in NAMES}
    for turn in range(STARTS):
        for name in NAMES:
            cache = servers.CACHES[name](scratch / f"{name}-{turn}", origin.port)
            running.append(cache)
            taken[name].append(cache.start())
            cache.stop()
            running.remove(cache)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def expect_same_bytes(origin, caches):
    wanted = servers.ask(origin.port, servers.PAGE)
    for cache in caches:
        if servers.ask(cache.port, servers.PAGE) != wanted:
            sys.exit(f"{cache.name} answers with other bytes than the origin's")


def in_turn(caches, figure):
    """The median of each figure over the rounds. Who goes first takes turns, so that a disturbance disturbs all."""
    rounds = {cache.name: [] for cache in caches}
    for turn in range(ROUNDS):
        for at in range(len(caches)):
            cache = caches[(turn + at) % len(caches)]
            rounds[cache.name].append(figure(cache))
            print(f"{cache.name}: {rounds[cache.name][-1]}", file=sys.stderr)
    return {name: [statistics.median(column) for column in zip(*rows)] for name, rows in rounds.items()}


def latency(sorted_latencies, unanswered):
    """Milliseconds at the percentiles, then how many of the requests were not answered."""
    if not sorted_latencies:
        return [float("nan")] * len(PERCENTILES) + [unanswered]
    last = len(sorted_latencies) - 1
    return [sorted_latencies[min(last, int(last * p / 100))] * 1000 for p in PERCENTILES] + [unanswered]


def while_hanging(cache, origin):
    """Latency of hits while the origin is stopped in the middle of as many misses."""
    with load.Crowd(cache, HANGING) as misses:
        os.kill(origin.process.pid, signal.SIGSTOP)
        try:
            for number in range(HANGING):
                misses.ask(f"/hanging/{cache.name}/{number}/{time.monotonic_ns()}", 0.0)
            return latency(*load.at_rate(cache, RATE, SECONDS / 2))
        finally:
            os.kill(origin.process.pid, signal.SIGCONT)


def report(figures):
    lines = [machine(), "", "| hits | " + " | ".join(NAMES) + " | Larder to the better |", "|---|--:|--:|--:|--:|"]

    def line(title, by_name, show, better=None):
        lines.append(row(title, by_name, show.format, better))

    for connections in CONNECTIONS:
        rates, cpu, _ = columns(figures["wrk", connections])
        line(f"requests/s, {connections} connections", rates, "{:,.0f}", max)
        line(f"CPU s per 100,000, {connections} connections", cpu, "{:.2f}", min)
    hanging = f"the same while {HANGING} misses wait for an origin that hangs"
    for what, key in ((f"at {RATE:,} a second", "latency"), (hanging, "hanging")):
        *percentiles, unanswered = columns(figures[key])
        for percentile, latencies in zip(PERCENTILES, percentiles):
            line(f"p{percentile}, ms, {what}", latencies, "{:.2f}", min)
        line("of these not answered", unanswered, "{:,.0f}")
    asked, answered, taken = columns(figures["coalesced"])
    line(f"{CROWD} misses at once: requests the origin saw", asked, "{:,.0f}")
    line("of these answered with 200", answered, "{:,.0f}")
    line("s until the last of them (the origin takes 1)", taken, "{:.2f}", min)
    line("memory idle, MiB", in_mib(figures["idle"]), "{:.1f}", min)
    for connections in CONNECTIONS:
        loaded = columns(figures["wrk", connections])[2]
        line(f"memory at {connections} busy connections, MiB", in_mib(loaded), "{:.1f}", min)
    line("start to first answer, ms", {name: taken * 1000 for name, taken in figures["start"].items()}, "{:.1f}", min)
    program, libraries = columns(figures["sizes"])
    line("program, MiB", in_mib(program), "{:.1f}", min)
    line("with its shared libraries, MiB", in_mib(libraries), "{:.1f}", min)
    return "\n".join(lines)


def columns(by_name):
    """Each figure of a row by program."""
    return [dict(zip(by_name, column)) for column in zip(*by_name.values())]


def in_mib(by_name):
    return {name: size / 2**20 for name, size in by_name.items()}


def row(title, by_name, show, better=None):
    """One line; the ratio is to the better of the others, where one is better."""
    cells = [show(by_name[name]) for name in NAMES]
    others = [value for name, value in by_name.items() if name != "Larder"]
    ratio = f"{by_name['Larder'] / better(others):.2f}" if better and better(others) else ""
    return f"| {title} | " + " | ".join(cells) + f" | {ratio} |"


def machine():
    model = next(line.partition(": ")[2] for line in open("/proc/cpuinfo") if line.startswith("model name"))
    versions = "; ".join(servers.version(name) for name in NAMES)
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, {model.strip()}, Linux {platform.release()}, "
        f"load average {os.getloadavg()[0]:.1f}. {versions}, {os.path.getsize(os.environ['LARDER_BIN']):,} bytes. "
        f"Medians of {ROUNDS} interleaved rounds of {SECONDS} s; a body of 1.5 KB."
    )


main()
