"""Drives Larder under callgrind with some hits, then with many. See bench/instructions.sh."""

import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).with_name("compare")))
sys.dont_write_bytecode = True
import servers  # noqa: E402

FEW, MORE = 1_000, 10_000
TOP = 15

# What a browser sends for a page it has open: the head of benches/hit.rs.
REQUEST = (
    b"GET /body HTTP/1.1\r\nHost: larder.example:8676\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"
    b"Accept: application/json, text/plain, */*\r\nAccept-Language: en-GB,en;q=0.8,de;q=0.5\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://larder.example:8676/dashboard\r\nDNT: 1\r\n"
    b"Connection: keep-alive\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"
    b"Priority: u=4\r\n\r\n"
)


def hits(port, number):
    """One hit after the other on one connection."""
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        for _ in range(number):
            client.sendall(REQUEST)
            reply = client.recv(65536)
            while b"\r\n\r\n" not in reply or len(reply.partition(b"\r\n\r\n")[2]) < length(reply):
                part = client.recv(65536)
                if not part:
                    sys.exit("the connection ended in the middle of a reply")
                reply += part
            if b"X-Cache-Status: HIT" not in reply:
                sys.exit(f"not a hit:\n{reply[:1000].decode()}")


def length(reply):
    return int(re.search(rb"(?i)\r\ncontent-length: *(\d+)", reply)[1])


def counted(binary, scratch, origin, number):
    """Instructions of a run with so many hits, by function."""
    home = scratch / f"larder-{number}"
    out = home / "callgrind.out"
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--quiet", binary, "--config"]
    configuration = lambda it: servers.written(it, "config.json", servers.LARDER, origin)
    larder = servers.Server("Larder under callgrind", home, lambda it: command + [configuration(it)])
    try:
        larder.start()
        hits(larder.port, number)
        larder.process.send_signal(signal.SIGTERM)
        # It writes down what it counted.
        larder.process.wait(60)
    finally:
        larder.stop()
    annotate = ["callgrind_annotate", "--threshold=100", str(out)]
    said = subprocess.run(annotate, capture_output=True, text=True, check=True)
    functions = {}
    for line in said.stdout.splitlines():
        found = re.match(r" *([\d,]+) (?:\([ \d.]+%\) +)?(?:\S*?:)?(.+?)(?: \[.*\])?$", line)
        if found and "PROGRAM TOTALS" not in line:
            name = re.sub(r"::h[0-9a-f]{16}|'\d+$", "", found[2])
            functions[name] = functions.get(name, 0) + int(found[1].replace(",", ""))
    total = int(re.search(r"([\d,]+) \(?[^\n]*PROGRAM TOTALS", said.stdout)[1].replace(",", ""))
    return total, functions


def main():
    binary, scratch = str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(sys.argv[2])
    origin = servers.origin(scratch)
    try:
        origin.start()
        few_total, few = counted(binary, scratch, origin.port, FEW)
        many_total, many = counted(binary, scratch, origin.port, FEW + MORE)
    finally:
        origin.stop()
    print(f"{(many_total - few_total) / MORE:,.0f} instructions a hit, in user space\n")
    print("| function, itself | instructions a hit |\n|---|--:|")
    each = {name: (count - few.get(name, 0)) / MORE for name, count in many.items()}
    for name, count in sorted(each.items(), key=lambda pair: -pair[1])[:TOP]:
        print(f"| `{name[:90]}` | {count:,.0f} |")


main()
