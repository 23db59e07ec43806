"""Drives Larder under callgrind with some requests, then with more of them. See bench/instructions.sh."""

import pathlib
import re
import signal
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).with_name("compare")))
sys.dont_write_bytecode = True
import servers  # noqa: E402
from heads import HEADS  # noqa: E402

# So many requests and twice as many: the difference is so many requests, without the start, the end and the first ones.
HITS, OTHERS = 2_000, 500
TOP = 12
ALLOCATING = ("malloc", "calloc", "realloc", "aligned_alloc", "memalign", "posix_memalign")
FREEING = ("free",)

# The most of each that is allowed: docs/BENCHMARKS.md.
TARGETS = {"hit, head wrk": 3_000, "hit, head browser": 3_500, "miss, head browser": 60_000, "POST of 1 KB, head browser": 80_000}


def request(head, path, body=b""):
    lines = [f"{'POST' if body else 'GET'} {path} HTTP/1.1", *HEADS[head]]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body


KINDS = {f"hit, head {head}": (HITS, lambda n, head=head: request(head, "/body"), b"HIT") for head in HEADS}
KINDS["miss, head browser"] = (OTHERS, lambda n: request("browser", f"/miss/{n}"), b"MISS")
KINDS["POST of 1 KB, head browser"] = (OTHERS, lambda n: request("browser", "/post", b"b" * 1000), b"BYPASS")


def exchange(port, number, made, status):
    """So many requests of one kind, one after the other on one connection."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(number):
            client.sendall(made(n))
            reply = client.recv(65536)
            while b"\r\n\r\n" not in reply or len(reply.partition(b"\r\n\r\n")[2]) < length(reply):
                part = client.recv(65536)
                if not part:
                    sys.exit("the connection ended in the middle of a reply")
                reply += part
            if b"X-Cache-Status: " + status not in reply:
                sys.exit(f"not a {status.decode()}:\n{reply[:1000].decode()}")


def length(reply):
    return int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", reply)[1])


class Counted:
    """What callgrind counted: instructions in all, by function, and how often each function was called."""

    def __init__(self, out):
        self.total, self.own, self.calls = 0, {}, {}
        names, function, of_a_call = {}, None, False

        def named(text):
            number, _, name = text.partition(" ")
            if name:
                # Generic instances and recursion levels of one function count together.
                names[number] = re.sub(r"(::h[0-9a-f]{16})?('\d+)?$", "", name)
            return names[number]

        for line in open(out, errors="replace"):
            if line.startswith("fn="):
                function = named(line[3:].rstrip("\n"))
            elif line.startswith("cfn="):
                called = named(line[4:].rstrip("\n"))
            elif line.startswith("calls="):
                self.calls[called] = self.calls.get(called, 0) + int(line[6:].split()[0])
                of_a_call = True
            elif line.startswith(("totals:", "summary:")):
                self.total = int(line.split()[1])
            elif line[0] in "0123456789+-*":
                # The line after `calls=` has the cost of what was called, which is counted there.
                if not of_a_call:
                    self.own[function] = self.own.get(function, 0) + int(line.split()[1])
                of_a_call = False

    def calls_of(self, functions):
        return sum(count for name, count in self.calls.items() if name in functions)


def counted(binary, scratch, origin, kind, number):
    """What a run with so many requests of this kind took."""
    _, made, status = KINDS[kind]
    home = scratch / f"{kind}-{number}".replace(" ", "-").replace(",", "")
    out = home / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-pos=no", "--quiet", binary, "--config"]

    def configured(it):
        return servers.written(it, "config.json", servers.LARDER, origin, servers.CONNECTIONS)

    larder = servers.Server("Larder under callgrind", home, lambda it: command + [configured(it)])
    try:
        larder.start()
        exchange(larder.port, number, made, status)
        larder.process.send_signal(signal.SIGTERM)
        # It writes down what it counted.
        larder.process.wait(60)
    finally:
        larder.stop()
    return Counted(out)


def main():
    binary, scratch = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2])
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    origin = servers.origin(scratch)
    print("| in user space, of one request | instructions | target | allocations | frees |\n|---|--:|--:|--:|--:|")
    spent = {}
    try:
        origin.start()
        for kind, (number, _, _) in KINDS.items():
            if wanted not in kind:
                continue
            few = counted(binary, scratch, origin.port, kind, number)
            more = counted(binary, scratch, origin.port, kind, 2 * number)
            if not more.calls_of(ALLOCATING):
                sys.exit("no calls of malloc seen: the program needs its symbols (CARGO_PROFILE_RELEASE_STRIP=none)")
            each = (more.total - few.total) / number
            target = TARGETS.get(kind)
            allowed = f"{'met' if each <= target else 'missed'}: ≤ {target:,}" if target else ""
            allocated, freed = ((more.calls_of(names) - few.calls_of(names)) / number for names in (ALLOCATING, FREEING))
            print(f"| {kind} | {each:,.0f} | {allowed} | {allocated:.1f} | {freed:.1f} |", flush=True)
            spent[kind] = {name: (count - few.own.get(name, 0)) / number for name, count in more.own.items()}
    finally:
        origin.stop()
    for kind, functions in spent.items():
        print(f"\n| {kind}: function, itself | instructions |\n|---|--:|")
        for name, count in sorted(functions.items(), key=lambda pair: -pair[1])[:TOP]:
            print(f"| `{name[:90]}` | {count:,.0f} |")


main()
