"""The programs compared: how each is set up as a cache, started, looked at and ended."""

import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE = "/body"
# Connections a program takes in most figures, and in the one of idle connections.
CONNECTIONS, MANY_CONNECTIONS = 2048, 12_000

NGINX = """
daemon off; worker_processes auto; pid {home}/pid; error_log {home}/error.log error; worker_rlimit_nofile 20000;
events {{ worker_connections {connections}; }}
http {{
    access_log off; tcp_nodelay on; sendfile on; open_file_cache max=1000;
    keepalive_requests 1000000000; keepalive_timeout 300s;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    proxy_cache_path {home}/store keys_zone=hits:10m;
    upstream origin {{ server 127.0.0.1:{origin}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        proxy_http_version 1.1; proxy_set_header Connection "";
        proxy_cache hits; proxy_cache_lock on; proxy_cache_lock_timeout 30s;
        location / {{ proxy_pass http://origin; }}
        {routes}
    }}
}}
"""

VARNISH = 'vcl 4.1; backend default {{ .host = "127.0.0.1"; .port = "{origin}"; }}'

LARDER = """{{ "preset": "api", "backend": {{ "url": "http://127.0.0.1:{origin}" }},
  "proxy": {{ "bind": "127.0.0.1", "port": {port},
    "maxConnections": {connections}, "maxConnectionsPerClient": {connections} }},
  "urlConfigs": [{routes}] }}"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, path):
    """One request on a connection of its own: the status and the body."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        client.request("GET", path)
        reply = client.getresponse()
        return reply.status, reply.read()
    finally:
        client.close()


class Server:
    """A process of ours with all its children, behind one port."""

    def __init__(self, name, home, command):
        self.name, self.home, self.port = name, pathlib.Path(home), free_port()
        self.home.mkdir(parents=True)
        self.log = open(self.home / "log", "wb")
        self.command = command(self)
        self.process = None

    def start(self):
        """Starts it; returns the seconds until it answered from the origin."""
        begun = time.monotonic()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.home
        )
        while time.monotonic() - begun < 60:
            try:
                if ask(self.port, PAGE)[0] == 200:
                    return time.monotonic() - begun
            except (ConnectionError, http.client.HTTPException):
                pass
            if self.process.poll() is not None:
                break
            time.sleep(0.0005)
        sys.exit(f"{self.name} gave no answer:\n{(self.home / 'log').read_text()}")

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            family = self.family()
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                for pid in family:
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()
        self.process = None
        self.log.close()

    def family(self):
        """The process and all that come from it."""
        pids = [self.process.pid]
        for pid in pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                # A thread may end meanwhile.
                try:
                    pids += [int(child) for child in (task / "children").read_text().split()]
                except OSError:
                    pass
        return pids

    def cpu(self):
        """CPU seconds used so far, user and system, threads that have ended included, children left out."""
        # The second field is the name, which may hold blanks.
        stats = (pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2] for pid in self.family())
        return sum(int(ticks) for stat in stats for ticks in stat.split()[11:13]) / TICK

    def memory(self):
        """Resident bytes; what its processes share counts once."""
        rollups = (pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.family())
        return sum(int(re.search(r"^Pss: +(\d+)", rollup, re.M)[1]) for rollup in rollups) * 1024

    def sizes(self):
        """Bytes of the program, and of the program with the shared libraries it names."""
        program = os.path.realpath(shutil.which(self.command[0]))
        named = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
        libraries = {os.path.realpath(path) for path in re.findall(r"(/\S+) \(0x", named)}
        alone = os.path.getsize(program)
        return alone, alone + sum(map(os.path.getsize, libraries))


def written(server, name, text, origin, connections, routes=""):
    path = server.home / name
    values = {"home": server.home, "port": server.port, "origin": origin, "connections": connections, "routes": routes}
    path.write_text(text.format(**values))
    return str(path)


def client():
    """The path of the load generator (bench/client)."""
    return os.path.realpath(os.environ["BENCH_CLIENT"])


def origin(scratch):
    return Server("origin", scratch / "origin", lambda it: [client(), "origin", "--address", f"127.0.0.1:{it.port}"])


def nginx(home, origin, connections=CONNECTIONS, routes=0):
    lines = [f"location = /exact/{n} {{ proxy_pass http://origin; }}" for n in range(routes)]
    lines += [f"location /prefix/{n}/ {{ proxy_pass http://origin; }}" for n in range(routes)]

    def command(it):
        return ["nginx", "-p", str(it.home), "-c", written(it, "nginx.conf", NGINX, origin, connections, "\n".join(lines))]

    return Server("nginx", home, command)


def varnish(home, origin, connections=CONNECTIONS, routes=0):
    """Varnish, which has no routes of its own: `routes` is not looked at."""

    def command(it):
        vcl = written(it, "default.vcl", VARNISH, origin, connections)
        listen = f"127.0.0.1:{it.port}"
        return ["varnishd", "-F", "-j", "none", "-n", str(it.home / "work"), "-a", listen, "-T", "none", "-f", vcl,
                "-s", "malloc,64m", "-p", "timeout_idle=300"]  # fmt: skip

    return Server("Varnish", home, command)


def larder(home, origin, connections=CONNECTIONS, routes=0):
    binary = os.path.realpath(os.environ["LARDER_BIN"])
    members = [f'{{ "path": "/exact/{n}", "cacheTTL": 3600 }}' for n in range(routes)]
    members += [f'{{ "path": "/prefix/{n}/*", "cacheTTL": 3600 }}' for n in range(routes)]

    def command(it):
        return [binary, "--config", written(it, "config.json", LARDER, origin, connections, ",\n".join(members))]

    return Server("Larder", home, command)


CACHES = {"nginx": nginx, "Varnish": varnish, "Larder": larder}


def version(name):
    commands = {"nginx": ["nginx", "-v"], "Varnish": ["varnishd", "-V"], "Larder": [os.environ["LARDER_BIN"], "--version"]}
    said = subprocess.run(commands[name], capture_output=True, text=True)
    return (said.stdout + said.stderr).splitlines()[0]
