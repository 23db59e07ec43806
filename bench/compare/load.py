"""The clients: wrk for rates; ours for latency at a fixed rate and for crowds. Each ends by itself."""

import re
import select
import socket
import subprocess
import time

from servers import PAGE


def request(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def wrk(server, connections, seconds):
    """Requests a second, CPU seconds of the server per 100,000 of them, and its bytes of memory in the middle of it."""
    before = server.cpu()
    url = f"http://127.0.0.1:{server.port}{PAGE}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", url]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    time.sleep(seconds / 2)
    memory = server.memory()
    said, _ = running.communicate(timeout=seconds + 30)
    used = server.cpu() - before
    if running.returncode or "Non-2xx" in said or "Socket errors" in said:
        raise SystemExit(f"{server.name} at {connections} connections:\n{said}")
    answered = int(re.search(r"(\d+) requests in", said)[1])
    return float(re.search(r"Requests/sec: +([\d.]+)", said)[1]), used * 100_000 / answered, memory


class Crowd:
    """Connections to one server, one request at a time on each."""

    def __init__(self, server, size):
        self.poll, self.busy = select.epoll(), {}
        self.free = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(size)]
        self.all = {client.fileno(): client for client in self.free}
        for client in self.free:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.poll.register(client, select.EPOLLIN)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for client in self.all.values():
            client.close()
        self.poll.close()

    def ask(self, path, due):
        client = self.free.pop()
        self.busy[client.fileno()] = [due, b""]
        client.sendall(request(path))

    def hear(self, until):
        """Waits for replies until then at most: when each that is complete was due, and its status."""
        # epoll waits whole milliseconds, select to the microsecond.
        if not select.select([self.poll], [], [], max(0.0, until - time.monotonic()))[0]:
            return []
        ended = []
        for fd, _ in self.poll.poll(0):
            part = self.all[fd].recv(65536)
            due, reply = self.busy.get(fd, (0.0, b""))
            reply += part
            head, end, body = reply.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
            if not part:
                self.poll.unregister(fd)
            if part and not (end and length and len(body) >= int(length[1])):
                self.busy[fd] = [due, reply]
            elif self.busy.pop(fd, None):
                ended.append((due, int(head.split(b" ", 2)[1]) if part else 0))
                if part:
                    self.free.append(self.all[fd])
        return ended


def at_rate(server, rate, seconds, connections=64):
    """Latencies in seconds of hits due at fixed times, whatever became of those before, and how many were not answered.

    Each counts from when it was due, also where it had to wait for a connection. 2 s after the last was due it ends.
    """
    latencies, failed, total = [], 0, int(rate * seconds)
    with Crowd(server, connections) as crowd:
        begin, sent = time.monotonic() + 0.1, 0
        end = begin + seconds + 2
        while len(latencies) + failed < total and (now := time.monotonic()) < end:
            while sent < total and crowd.free and begin + sent / rate <= now:
                crowd.ask(PAGE, begin + sent / rate)
                sent += 1
            wake = begin + sent / rate if sent < total and crowd.free else end
            for due, status in crowd.hear(wake):
                if status == 200:
                    latencies.append(time.monotonic() - due)
                else:
                    failed += 1
    return sorted(latencies), total - len(latencies)


def coalesced(server, origin_count, path, size=500):
    """Many clients ask at once for what the origin takes a second for.

    Returns how often it was asked, how many got the answer, and the seconds until the last of them had it.
    """
    before = origin_count(path)
    answers, heard = 0, 0
    with Crowd(server, size) as crowd:
        begun = time.monotonic()
        for _ in range(size):
            crowd.ask(path, begun)
        while heard < size and time.monotonic() < begun + 30:
            ended = crowd.hear(begun + 30)
            heard += len(ended)
            answers += sum(status == 200 for _, status in ended)
        took = time.monotonic() - begun
    return origin_count(path) - before, answers, took
