#!/usr/bin/env bash
# Shows that a build is whole: `tests/smoke.sh PROGRAM`, where the program may be several words, such as an emulator and what it runs.
# It stands before the simulated house with nothing configured, is asked as a container's health check, a dashboard and a
# client would, and ends cleanly. In a network namespace of its own (as root): it listens on every address.
set -euo pipefail
if [ -z "${SMOKE_ALONE-}" ]; then
    SMOKE_ALONE=1 exec unshare --net "$0" "$@"
fi
ip link set lo up

larder=("$@")
url=http://127.0.0.1:8676
scratch=$(mktemp -d)
pid=
finish() {
    if [ -n "$pid" ]; then kill "$pid" 2>/dev/null || true; fi
    rm -rf "$scratch"
}
trap finish EXIT

fail() {
    echo "smoke: $1" >&2
    cat "$scratch/log" >&2
    exit 1
}

# expect PATH STATUS [CURL-OPTION...]: the answer is a 200 with something in it, and this X-Cache-Status.
expect() {
    local path=$1 want=$2 got
    shift 2
    curl -sf --max-time 20 -D "$scratch/head" -o "$scratch/body" "$@" "$url$path" || fail "$path is not answered 200"
    [ -s "$scratch/body" ] || fail "$path says nothing"
    got=$(tr -d '\r' <"$scratch/head" | awk 'tolower($1) == "x-cache-status:" { print $2 }')
    [ "$got" = "$want" ] || fail "$path: $want wanted, ${got:-nothing} got"
    echo "$want $path"
}

"${larder[@]}" --origin sim://powerwall 2>"$scratch/log" &
pid=$!
for _ in $(seq 100); do
    if "${larder[@]}" health >"$scratch/health"; then break; fi
    sleep 0.1
done
grep -q '^healthy' "$scratch/health" || fail "no health: $(cat "$scratch/health")"
cat "$scratch/health"

expect /json MISS
expect /json HIT
# What is polled is there before anybody asks: nine answers, and the one above.
for _ in $(seq 100); do
    if curl -sf "$url/health" | grep -q '"entries":10,'; then break; fi
    sleep 0.1
done
for path in /aggregates /soe /strings /freq /csv/v2 /pod /temps/pw /alerts/pw /fans/pw; do expect "$path" HIT; done
for path in /vitals /version /api/status /api/site_info /pw/power; do
    expect "$path" MISS
    expect "$path" HIT
done
expect /control/reserve BYPASS -d value=30
curl -sf "$url/health" | grep -q '"status":"ok"' || fail "/health does not say ok"
curl -sf -X POST "$url/cache/clear" | grep -q '"success":true' || fail "/cache/clear does not clear"

kill -TERM "$pid"
wait "$pid" || fail "ends with status $?"
pid=
echo "smoke: ${larder[*]} is whole"
