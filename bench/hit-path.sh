#!/usr/bin/env bash
# The hit path beside nginx: requests/s, CPU per 100,000 hits and memory at 2, 64 and 256 connections, in one run.
# The static musl build of Larder and nginx as a caching proxy take turns in front of the same origin.
# Usage: bench/hit-path.sh [rounds, default 3] [seconds per measurement, default 5]
# Prints a Markdown table. LARDER_BIN=path measures that binary instead of building one.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-3}
seconds=${2:-5}
target=x86_64-unknown-linux-musl
scratch=$(mktemp -d)
children=()

finish() {
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${children[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap finish EXIT

for tool in nginx wrk curl python3; do
    command -v "$tool" >/dev/null || { apt-get update -q >&2 && apt-get install -qy "$tool" >&2; }
done

if [ -z "${LARDER_BIN:-}" ]; then
    cargo build --release --target "$target" >&2
    LARDER_BIN=${CARGO_TARGET_DIR:-target}/$target/release/larder
fi

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Waits until a URL answers; the argument is the URL.
answers() {
    for _ in $(seq 100); do
        if curl -sf -o /dev/null --max-time 5 "$1"; then return 0; fi
        sleep 0.1
    done
    echo "no answer from $1" >&2
    cat "$scratch"/*.log >&2
    return 1
}

# Starts nginx with one worker and the server block on standard input; $1 names it. Its pid is the last of `children`.
start_nginx() {
    mkdir -p "$scratch/$1"
    {
        cat <<CONF
daemon off; worker_processes 1; pid $scratch/$1/pid; error_log $scratch/$1.log error;
events { worker_connections 2048; }
http {
    access_log off; default_type application/json; tcp_nodelay on; sendfile on;
    keepalive_requests 1000000000; keepalive_timeout 75s;
    client_body_temp_path $scratch/$1/body; proxy_temp_path $scratch/$1/proxy; fastcgi_temp_path $scratch/$1/fastcgi;
    uwsgi_temp_path $scratch/$1/uwsgi; scgi_temp_path $scratch/$1/scgi;
CONF
        cat
        echo "}"
    } >"$scratch/$1/nginx.conf"
    nginx -p "$scratch/$1" -c "$scratch/$1/nginx.conf" </dev/null &
    children+=($!)
}

mkdir -p "$scratch/www"
chmod 755 "$scratch" "$scratch/www"
python3 -c 'print("{" + "\"a\": 1, " * 187 + "\"z\": 0}", end="")' >"$scratch/www/body"

origin_port=$(free_port)
start_nginx origin <<CONF
    server { listen 127.0.0.1:$origin_port; root $scratch/www; }
CONF
answers "http://127.0.0.1:$origin_port/body"

nginx_port=$(free_port)
start_nginx cache <<CONF
    proxy_cache_path $scratch/cache/store keys_zone=hits:10m;
    server {
        listen 127.0.0.1:$nginx_port backlog=1024;
        location / {
            proxy_pass http://127.0.0.1:$origin_port; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_cache hits; proxy_cache_valid 200 1h;
        }
    }
CONF
nginx_pid=${children[-1]}

cat >"$scratch/larder.json" <<JSON
{ "backend": { "url": "http://127.0.0.1:$origin_port" }, "proxy": { "bind": "127.0.0.1" },
  "cache": { "defaultTTL": 3600, "defaultStaleTime": 3600 } }
JSON
"$LARDER_BIN" --config "$scratch/larder.json" --port 0 </dev/null 2>"$scratch/larder.log" &
children+=($!)
larder_pid=$!
larder_url=
for _ in $(seq 100); do
    larder_url=$(grep -om1 'listening on http://[0-9.]*:[0-9]*' "$scratch/larder.log" | sed 's/.* //' || true)
    [ -n "$larder_url" ] && break
    sleep 0.1
done
[ -n "$larder_url" ] || { cat "$scratch/larder.log" >&2; exit 1; }
nginx_url=http://127.0.0.1:$nginx_port

# The process and its children.
family() { echo "$1" "$(pgrep -P "$1" | tr '\n' ' ')"; }

# Clock ticks used so far by a family. The name, which may hold blanks, is cut off first.
ticks() {
    local sum=0 pid used
    for pid in $(family "$1"); do
        used=$(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }')
        sum=$((sum + used))
    done
    echo "$sum"
}

rss_kib() {
    local sum=0 pid kib
    for pid in $(family "$1"); do
        kib=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
        sum=$((sum + kib))
    done
    echo "$sum"
}

# One measurement: name, pid, URL, connections.
measure() {
    local before after requests
    before=$(ticks "$2")
    wrk -t 1 -c "$4" -d "${seconds}s" --timeout 10s "$3/body" </dev/null >"$scratch/wrk.txt"
    after=$(ticks "$2")
    if grep -Eq 'Non-2xx|Socket errors' "$scratch/wrk.txt"; then
        echo "$1 at $4 connections:" >&2
        cat "$scratch/wrk.txt" >&2
        return 1
    fi
    requests=$(awk '/requests in/ { print $1 }' "$scratch/wrk.txt")
    per_second=$(awk '/^Requests\/sec/ { print $2 }' "$scratch/wrk.txt")
    echo "$1 $4 $per_second $requests $((after - before)) $(rss_kib "$2")" >>"$scratch/results"
    echo "$1 at $4 connections: $per_second requests/s" >&2
}

for url in "$nginx_url" "$larder_url"; do
    answers "$url/body"
    cmp <(curl -s "$url/body") "$scratch/www/body"
done

for round in $(seq "$rounds"); do
    for connections in 2 64 256; do
        # Who goes first takes turns.
        if ((round % 2)); then
            measure nginx "$nginx_pid" "$nginx_url" "$connections"
            measure larder "$larder_pid" "$larder_url" "$connections"
        else
            measure larder "$larder_pid" "$larder_url" "$connections"
            measure nginx "$nginx_pid" "$nginx_url" "$connections"
        fi
    done
done

echo "$(nproc) cores, $(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo), Linux $(uname -r);" \
    "$(nginx -v 2>&1 | sed 's/.*: //'), 1 worker, RSS of all its processes;" \
    "larder $(stat -c %s "$LARDER_BIN") bytes, static musl; wrk, 1 thread, ${seconds} s, medians of $rounds interleaved rounds; body 1.5 KB"
echo
python3 - "$scratch/results" "$(getconf CLK_TCK)" <<'PY'
import statistics, sys

rows, tick = {}, float(sys.argv[2])
for line in open(sys.argv[1]):
    name, connections, per_second, requests, ticks, rss = line.split()
    cpu = int(ticks) / tick * 100_000 / int(requests)
    rows.setdefault((int(connections), name), []).append((float(per_second), cpu, int(rss) / 1024))

print("| connections | nginx req/s | larder req/s | ratio | nginx CPU s/100k | larder CPU s/100k | ratio | nginx MiB | larder MiB |")
print("|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
for connections in (2, 64, 256):
    nginx, larder = ([statistics.median(column) for column in zip(*rows[connections, name])] for name in ("nginx", "larder"))
    print(f"| {connections} | {nginx[0]:,.0f} | {larder[0]:,.0f} | {larder[0] / nginx[0]:.2f} "
          f"| {nginx[1]:.2f} | {larder[1]:.2f} | {larder[1] / nginx[1]:.2f} | {nginx[2]:.1f} | {larder[2]:.1f} |")
PY
