"""Larder beside nginx and Varnish, each as a cache before the same origin, in one run; prints Markdown. See compare.sh."""

import argparse
import contextlib
import math
import os
import pathlib
import platform
import resource
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass

import load
import servers
from heads import HEADS

CONNECTIONS = (2, 64, 256, 1000)
PERCENTILES = ("p50", "p90", "p99", "p999")
RATE, ACTIVE_RATE, BURST = 4000, 5000, 400
CROWD, HANGING = 500, 100
IDLE = (1000, 10_000)
ROUTES = 5000
MIB = 2**20
NAMES = tuple(servers.CACHES)


@dataclass(frozen=True)
class Plan:
    """How much of everything."""

    rounds: int
    hits: int
    new_connections: int
    misses: int
    large: int
    huge: int
    bursts: int
    seconds: float
    starts: int


FULL = Plan(rounds=3, hits=150_000, new_connections=30_000, misses=8_000, large=600, huge=10, bursts=9, seconds=4, starts=5)
QUICK = Plan(rounds=1, hits=20_000, new_connections=4_000, misses=1_500, large=200, huge=3, bursts=3, seconds=1, starts=2)
# Runs every row once, for the sake of the tool.
TINY = Plan(rounds=1, hits=2_000, new_connections=500, misses=200, large=10, huge=1, bursts=1, seconds=0.3, starts=1)


def main():
    options = argparse.ArgumentParser(prog="bench/compare.sh", description=__doc__)
    options.add_argument("--quick", action="store_true", help="one short round, within three minutes")
    options.add_argument("--tiny", action="store_true", help="hardly anything, to see that all of it runs")
    options.add_argument("--only", metavar="WORD", help="only the parts whose name has this word")
    options = options.parse_args()
    plan = TINY if options.tiny else QUICK if options.quick else FULL
    many_descriptors()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as running:
        # nginx's workers give up root, and reach their files through here.
        os.chmod(scratch, 0o755)
        bench = Bench(plan, pathlib.Path(scratch), running)
        lines = []
        for part in PARTS:
            if not options.only or options.only in part.__name__:
                begun = time.monotonic()
                lines += part(bench)
                print(f"{part.__name__}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
        print(machine(plan), "", *HEADING, *lines, sep="\n")
        if load.unanswered:
            print("", "Not answered:", "", *(f"- {line}" for line in load.unanswered), sep="\n")


def many_descriptors():
    """Raises the limit on open descriptors, which the servers and the clients inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 20_000
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), max(hard, wanted)))
    except ValueError:
        sys.exit(f"at most {hard} descriptors: {max(IDLE):,} idle connections need {wanted:,} (ulimit -n, or root)")


class Bench:
    """The origin, the three caches before it, and how to measure them in turn."""

    def __init__(self, plan, scratch, running):
        self.plan, self.scratch, self.running, self.homes = plan, scratch, running, 0
        self.origin = servers.origin(scratch)
        self.start(self.origin)
        self.caches = [self.cache(name) for name in NAMES]
        self.taken = [self.start(cache) for cache in self.caches]
        wanted = servers.ask(self.origin.port, servers.PAGE)
        for cache in self.caches:
            if servers.ask(cache.port, servers.PAGE) != wanted:
                sys.exit(f"{cache.name} answers with other bytes than the origin's")
        time.sleep(1)
        self.idle = {cache.name: cache.memory() for cache in self.caches}

    def start(self, server):
        self.running.callback(server.stop)
        return server.start()

    def cache(self, name, **options):
        """A cache of that name, not started yet."""
        self.homes += 1
        return servers.CACHES[name](self.scratch / f"{name}-{self.homes}", self.origin.port, **options)

    def in_turn(self, figure, caches=None, rounds=None):
        """The median of each figure over the rounds. Who goes first takes turns, so that a disturbance disturbs all."""
        caches = caches or self.caches
        rows = {cache.name: [] for cache in caches}
        for turn in range(rounds or self.plan.rounds):
            for at in range(len(caches)):
                cache = caches[(turn + at) % len(caches)]
                rows[cache.name].append(figure(cache))
                print(f"  {cache.name}: {' '.join(f'{value:.4g}' for value in rows[cache.name][-1])}", file=sys.stderr)
        medians = {name: [statistics.median(column) for column in zip(*by_round)] for name, by_round in rows.items()}
        return [dict(zip(medians, column)) for column in zip(*medians.values())]


# --- the table --------------------------------------------------------------------------------------------------------

HEADING = ["| | " + " | ".join(NAMES) + " | to the better | target |", "|---|--:|--:|--:|--:|---|"]


def row(title, by_name, show, better=None, target=None):
    """One line. `better` is min or max; `target` is a sign, a limit, and what it is of: `better`, a program's name, or None for a plain number."""
    own = by_name["Larder"]
    others = [value for name, value in by_name.items() if name != "Larder" and not math.isnan(value)]
    ratio = divided(own, better(others)) if better and others else math.nan
    cells = [show.format(by_name[name]) if not math.isnan(by_name.get(name, math.nan)) else "" for name in NAMES]
    verdict = ""
    if target:
        sign, limit, of = target
        value = own if of is None else ratio if of == "better" else divided(own, by_name[of])
        met = value <= limit if sign == "≤" else value >= limit
        verdict = f"{sign} {limit:,}{'' if of is None else f' of {of}'}: {'met' if met else '**missed**'}"
        if of not in ("better", None):
            verdict += f" ({value:.2f})"
    return f"| {title} | {' | '.join(cells)} | {'' if math.isnan(ratio) else f'{ratio:.2f}'} | {verdict} |"


def divided(value, by):
    return value / by if by else math.nan


def scaled(by_name, factor):
    return {name: value * factor for name, value in by_name.items()}


# --- the parts --------------------------------------------------------------------------------------------------------


def hits(bench):
    lines, memory = [], {}
    for head in HEADS:
        for connections in CONNECTIONS:

            def figure(cache):
                taken = load.load(cache, bench.plan.hits, connections, head)
                return [taken["rate"], taken.cpu_of_100_000, taken["memory"]]

            rates, cpu, busy = bench.in_turn(figure)
            # Of the first head: later ones find what earlier crowds left.
            memory.setdefault(connections, busy)
            what = f"hits, head {head}, {connections:,} connections"
            lines.append(row(f"{what}: CPU s per 100,000", cpu, "{:.2f}", min, ("≤", 0.60, "better")))
            lines.append(row(f"{what}: thousand a second", scaled(rates, 1e-3), "{:.1f}", max, ("≥", 1.2, "better")))
    for connections in CONNECTIONS:
        lines.append(row(f"memory at {connections:,} busy connections, MiB", scaled(memory[connections], 1 / MIB), "{:.1f}", min))
    return lines


def connecting(bench):
    def one_each(cache):
        taken = load.load(cache, bench.plan.new_connections, 64, each=1)
        return [taken.cpu_of_100_000, taken["rate"]]

    def burst(cache):
        taken = load.load(cache, BURST, BURST, each=1)
        return [taken["p50"] / 1000, taken["p99"] / 1000]

    cpu, rates = bench.in_turn(one_each)
    middle, most = bench.in_turn(burst, rounds=bench.plan.bursts)
    return [
        row("one request per connection: CPU s per 100,000", cpu, "{:.2f}", min, ("≤", 0.9, "nginx")),
        row("one request per connection: thousand a second", scaled(rates, 1e-3), "{:.1f}", max),
        row(f"{BURST} that connect and send at once: p50, ms", middle, "{:.1f}", min),
        row(f"{BURST} that connect and send at once: p99, ms", most, "{:.1f}", min, ("≤", 1.3, "nginx")),
    ]


def latency(bench):
    lines = []
    seconds = bench.plan.seconds

    def at(rate, connections, cpu=False):
        def figure(cache):
            taken = load.load(cache, int(rate * seconds), connections, "browser", rate=rate)
            return [taken[name] / 1000 for name in PERCENTILES] + [taken.cpu_of_100_000]

        return bench.in_turn(figure)

    *percentiles, _ = at(RATE, 64)
    for name, values in zip(PERCENTILES, percentiles):
        lines.append(row(f"{name}, ms, at {RATE:,} a second over 64 connections", values, "{:.2f}", min))
    _, _, most, _, cpu = at(ACTIVE_RATE, 1000)
    lines.append(row(f"1,000 active connections at {ACTIVE_RATE:,} a second: CPU s per 100,000", cpu, "{:.2f}", min))
    lines.append(row(f"1,000 active connections at {ACTIVE_RATE:,} a second: p99, ms", most, "{:.2f}", min))

    def while_hanging(cache):
        with load.held(cache, HANGING, f"/hanging/{cache.name}/{time.monotonic_ns()}/{{}}", "no"):
            os.kill(bench.origin.process.pid, signal.SIGSTOP)
            try:
                taken = load.load(cache, int(RATE * seconds / 2), 64, "browser", rate=RATE)
                return [taken["p99"] / 1000]
            finally:
                os.kill(bench.origin.process.pid, signal.SIGCONT)

    (hanging,) = bench.in_turn(while_hanging)
    what = f"p99, ms, at {RATE:,} a second while {HANGING} misses wait for an origin that hangs"
    lines.append(row(what, hanging, "{:.2f}", min))
    return lines


def misses(bench):
    def miss(cache):
        path = f"/miss/{cache.name}/{time.monotonic_ns()}/{{}}"
        before = asked("")
        taken = load.load(cache, bench.plan.misses, 1, "browser", path)
        if asked("") - before < bench.plan.misses:
            sys.exit(f"{cache.name}: not all of these were misses")
        return [taken.wall_us, taken.cpu_us]

    def post(cache):
        taken = load.load(cache, bench.plan.misses, 1, "browser", "/post", method="POST", body=1000)
        return [taken.wall_us, taken.cpu_us]

    def asked(path):
        return int(servers.ask(bench.origin.port, f"/count{path}")[1])

    lines = []
    for what, figure in (("a miss", miss), ("a POST of 1 KB", post)):
        wall, cpu = bench.in_turn(figure)
        lines.append(row(f"{what} at 1 connection: wall µs", wall, "{:.0f}", min, ("≤", 1.0, "nginx")))
        lines.append(row(f"{what} at 1 connection: CPU µs", cpu, "{:.0f}", min))

    def coalesced(cache):
        path = f"/slow/{cache.name}/{time.monotonic_ns()}"
        taken = load.load(cache, CROWD, CROWD, path=path, each=1)
        return [asked(path), taken["ok"], taken["max"] / 1e6]

    requests, answered, longest = bench.in_turn(coalesced)
    lines.append(row(f"{CROWD} misses of one path at once: requests the origin saw", requests, "{:,.0f}"))
    lines.append(row("of these answered with 200", answered, "{:,.0f}"))
    lines.append(row("s until the last of them (the origin takes 1)", longest, "{:.2f}", min))
    return lines


def large_bodies(bench):
    lines = []
    for what, path, count, show in (
        ("a hit of 1 MiB", f"/stored/{MIB}", bench.plan.large, None),
        ("relay of 1 MiB", f"/bytes/{MIB}", bench.plan.large, ("≤", 0.9, "nginx")),
        ("relay of 100 MiB", f"/bytes/{100 * MIB}", bench.plan.huge, ("≤", 0.9, "nginx")),
    ):

        def figure(cache):
            taken = load.load(cache, count, 1, "browser", path)
            return [taken.cpu_us, taken.wall_us]

        for cache in bench.caches:
            # A body that is stored is stored by now.
            load.load(cache, 1, 1, "browser", path)
        cpu, wall = bench.in_turn(figure)
        lines.append(row(f"{what}: CPU µs", cpu, "{:,.0f}", min, show))
        lines.append(row(f"{what}: wall µs", wall, "{:,.0f}", min))
    return lines


def memory(bench):
    lines = [row("memory idle, MiB", scaled(bench.idle, 1 / MIB), "{:.1f}", min)]
    sizes = {connections: {} for connections in (0, *IDLE)}
    for name in NAMES:
        cache = bench.cache(name, connections=servers.MANY_CONNECTIONS)
        bench.start(cache)
        sizes[0][name] = cache.memory()
        for connections in IDLE:
            with load.held(cache, connections):
                sizes[connections][name] = cache.memory()
        cache.stop()
    for connections, target in zip(sizes, (None, None, ("≤", 20_000_000 / MIB, None))):
        if target:
            target = ("≤", round(target[1], 1), None)
        what = f"{connections:,} idle connections that were used: MiB"
        lines.append(row(what, scaled(sizes[connections], 1 / MIB), "{:.1f}", min, target))
    most = IDLE[-1]
    each = {name: (sizes[most][name] - sizes[0][name]) / most for name in NAMES}
    lines.append(row("bytes for each idle connection", each, "{:,.0f}", min, ("≤", 512, None)))
    return lines


def routes(bench):
    many = []
    starts = {}
    for name in ("nginx", "Larder"):
        taken = []
        for _ in range(bench.plan.starts):
            cache = bench.cache(name, routes=ROUTES)
            taken.append(bench.start(cache))
            cache.stop()
        starts[name] = statistics.median(taken) * 1000
        cache = bench.cache(name, routes=ROUTES)
        bench.start(cache)
        many.append(cache)
    what = f"{ROUTES:,} exact and {ROUTES:,} prefix routes"
    lines = [row(f"start with {what}, ms", starts, "{:.0f}", min, ("≤", 50, None))]
    few = [cache for cache in bench.caches if cache.name != "Varnish"]
    last = ROUTES - 1
    for kind, path in (("an exact", f"/exact/{last}"), ("a prefix", f"/prefix/{last}/x"), ("no", "/elsewhere")):

        def figure(cache):
            return [load.load(cache, bench.plan.hits, 64, "browser", path).cpu_of_100_000]

        (without,) = bench.in_turn(figure, few)
        (with_them,) = bench.in_turn(figure, many)
        added = {name: with_them[name] - without[name] for name in with_them}
        lines.append(row(f"{what}: CPU s added per 100,000 hits of {kind} route", added, "{:+.2f}"))
    for cache in many:
        cache.stop()
    return lines


def programs(bench):
    taken = {cache.name: [first] for cache, first in zip(bench.caches, bench.taken)}
    for _ in range(bench.plan.starts - 1):
        for name in NAMES:
            cache = bench.cache(name)
            taken[name].append(bench.start(cache))
            cache.stop()
    starts = {name: statistics.median(seconds) * 1000 for name, seconds in taken.items()}
    sizes = {cache.name: cache.sizes() for cache in bench.caches}
    alone = {name: size[0] / MIB for name, size in sizes.items()}
    whole = {name: size[1] / MIB for name, size in sizes.items()}
    return [
        row("start to first answer, ms", starts, "{:.1f}", min),
        row("program, MiB", alone, "{:.1f}", min),
        row("with its shared libraries, MiB", whole, "{:.1f}", min),
    ]


PARTS = (hits, connecting, latency, misses, large_bodies, memory, routes, programs)


def machine(plan):
    model = next(line.partition(": ")[2] for line in open("/proc/cpuinfo") if line.startswith("model name"))
    versions = "; ".join(servers.version(name) for name in NAMES)
    return (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, {model.strip()}, Linux {platform.release()}, "
        f"load average {os.getloadavg()[0]:.1f}. {versions}, {os.path.getsize(os.environ['LARDER_BIN']):,} bytes. "
        f"Medians of {plan.rounds} interleaved rounds of {plan.hits:,} hits; a body of 1.5 KB."
    )


main()
