#!/usr/bin/env python3
"""Follows README.md as a reader does, from its first command to "Before a real pypowerwall", then through "Larder's own
endpoints", and compares what is printed.

Runs in a network namespace of its own (as root): the README's command listens on every address, and here there is only
loopback. The release build must be there already: a namespace has no registry. Numbers, ids and dates differ from run to
run and are compared as such; every word, field and bracket must be as the README shows it.
"""

import ctypes
import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# What is followed: from the first heading to the one before the second, with one server. (The rest needs an outage, or another
# origin, or a token: tests/it/sim.rs and tests/configuration.rs show those.)
FOLLOWED = [("# Larder", "## Before a real pypowerwall"), ("## Larder's own endpoints", "## ")]
CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def alone_with_loopback():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        sys.exit(f"readme: no network namespace: {os.strerror(ctypes.get_errno())}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", IFF_UP, b""))


def blocks(text):
    """Every fenced block: its language and its lines."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        yield match.group(1), match.group(2).splitlines()


def plain(text):
    """What is the same in every run."""
    text = re.sub(r"\b[0-9a-f]{8}-[0-9a-f]+\b", "ID", text)
    text = re.sub(r"larder-[0-9a-f]{8}", "larder-ID", text)
    text = re.sub(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} ", "DAY ", text)
    text = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", text)
    return text.rstrip()


def steps(lines):
    """The commands of a block, each with the output shown."""
    found = []
    for line in lines:
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def follow(command, expected):
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=30)
    seen, shown = plain(done.stdout), plain("\n".join(expected))
    if not expected:
        # Shown without its output, which is long: it must have some.
        shown = seen or "some output"
    if "head -c" in command:
        # Cut somewhere, and numbers are not equally long.
        seen, shown = seen[:80], shown[:80]
    seen = "\n".join(line.rstrip() for line in seen.splitlines())
    shown = "\n".join(line.rstrip() for line in shown.splitlines())
    if seen != shown:
        print(f"$ {command}\n--- README.md\n{shown}\n--- seen\n{seen}\n{done.stderr}")
        return False
    print(f"as shown: {command}")
    return True


def start(command):
    """Starts what serves, waits until it does, and gives a reader's time to change to the second terminal."""
    env = dict(os.environ, CARGO_NET_OFFLINE="true")
    server = subprocess.Popen(command.split(), cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    listening = threading.Event()

    def listen():
        for line in server.stderr:
            if "listening on" in line:
                listening.set()

    threading.Thread(target=listen, daemon=True).start()
    if not listening.wait(300):
        server.kill()
        sys.exit(f"readme: never listens: {command}")
    time.sleep(3)
    return server


def main():
    text = open(os.path.join(ROOT, "README.md"), encoding="utf-8").read()
    parts = []
    for first, end in FOLLOWED:
        begin = text.index(first + "\n")
        parts.append(text[begin : text.index("\n" + end, begin + len(first))] + "\n")
    alone_with_loopback()
    server, good, count = None, True, 0
    try:
        for language, lines in blocks("\n".join(parts)):
            if language == "sh" and server is None:
                server = start(lines[0])
            elif language == "" and lines and lines[0].startswith("$ "):
                for command, expected in steps(lines):
                    good &= follow(command, expected)
                    count += 1
    finally:
        if server:
            # As Ctrl-C does: to cargo and to what it runs.
            os.killpg(server.pid, signal.SIGINT)
            server.wait(15)
    print(f"{count} commands of the README followed")
    sys.exit(0 if good and count >= 9 else 1)


main()
