#!/usr/bin/env bash
# The real pypowerwall-server from PyPI, without a gateway, behind Larder: what clients get, beside what it says itself.
# Prints every request; ends with the number of things that were wrong. Nothing listens off loopback, nothing is left running.
# Usage: tests/real-server.sh [larder binary]
# With LARDER_PRESET=api Larder knows nothing of pypowerwall: what the preset for it owes is then not asked for.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null
# Every request here goes to loopback, whatever proxy the environment names.
export NO_PROXY='*' no_proxy='*'

scratch=$(mktemp -d)
children=()
failures=0
finish() {
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    for pid in "${children[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$scratch"
}
trap finish EXIT

# expect WHAT WANTED GOT
expect() {
    if [ "$2" != "$3" ]; then
        failures=$((failures + 1))
        printf 'WRONG: %s: %s wanted, %s got\n' "$1" "$2" "$3"
    fi
}

# --- the two programs -----------------------------------------------------------------------------------------------

# The recorded version; the newest where that one is gone.
install_server() {
    local venv=target/real-server
    if [ ! -x "$venv/bin/pypowerwall-server" ]; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install -q pypowerwall-server==0.13.0 || "$venv/bin/pip" install -q pypowerwall-server
    fi
    server=$PWD/$venv/bin/pypowerwall-server
    "$server" --version
}

# await LOG PATTERN: the first match, once it is there.
await() {
    for _ in $(seq 300); do
        if grep -oEm1 "$2" "$1"; then return 0; fi
        sleep 0.1
    done
    echo "never logged: $2" >&2
    cat "$1" >&2
    return 1
}

# Sets `origin`. Its own files go to the scratch directory; the environment of whoever runs this does not reach it.
start_server() {
    (cd "$scratch" && exec env -i PATH="$PATH" HOME="$scratch" PW_PORT=0 PW_BIND_ADDRESS=127.0.0.1 \
        PW_TIMESERIES_PATH="$scratch" PW_AUTH_PATH="$scratch" "$server") >"$scratch/server.log" 2>&1 &
    children+=($!)
    origin=$(await "$scratch/server.log" 'running on http://127.0.0.1:[0-9]+')
    origin=${origin#running on }
}

# Sets `larder` and `larder_pid`.
start_larder() {
    printf '{ "backend": { "url": "%s" }, "proxy": { "bind": "127.0.0.1", "port": 0 } }\n' "$origin" >"$scratch/config.json"
    "$binary" --config "$scratch/config.json" 2>"$scratch/larder.log" &
    larder_pid=$!
    children+=("$larder_pid")
    larder=$(await "$scratch/larder.log" 'listening on http://127.0.0.1:[0-9]+')
    larder=${larder#listening on }
}

# --- asking ---------------------------------------------------------------------------------------------------------

# ask NAME URL [curl options]: keeps the reply as NAME.head and NAME.body; prints the status.
ask() {
    local name=$1 url=$2
    shift 2
    curl -s --max-time 20 -D "$scratch/$name.head" -o "$scratch/$name.body" -w '%{http_code}' "$@" "$url"
}

# field NAME FIELD: its values, a line each.
field() {
    tr -d '\r' <"$scratch/$1.head" | awk -v name="${2,,}:" 'tolower($1) == name { sub(/^[^ ]+ */, ""); print }'
}

# both PATH [curl options]: asks the server itself, then Larder; sets `direct` and `status`.
both() {
    local path=$1
    shift
    direct=$(ask direct "$origin$path" "$@")
    status=$(ask larder "$larder$path" "$@")
    printf '%-32s server %s, larder %s %-6s %s bytes\n' "${*:+${*: -1} }$path" "$direct" "$status" \
        "$(field larder X-Cache-Status)" "$(wc -c <"$scratch/larder.body")"
    # A reply from the cache sets nobody's cookies.
    if [ "$(field larder X-Cache)" = HIT ]; then expect "$path: cookies from the cache" "" "$(field larder Set-Cookie)"; fi
}

same_body() {
    expect "$1: body" "$(sha256sum <"$scratch/direct.body")" "$(sha256sum <"$scratch/larder.body")"
}

# --- what must hold -------------------------------------------------------------------------------------------------

pages() {
    local path
    for path in / /console /history /example.html /favicon.ico /docs /openapi.json / /console; do
        both "$path"
        expect "$path: status" 200 "$status"
        same_body "$path"
    done
}

# No gateway: it has nothing to say, and Larder makes nothing up. The first reply may be the server's own, the next ours.
no_readings() {
    local path
    for path in /aggregates /soe /strings /vitals /freq /pod /temps/pw /fans/pw /alerts/pw /csv /csv/v2 /json /version \
        /api/meters/aggregates /api/system_status/soe /aggregates /soe; do
        both "$path"
        expect "$path: status" "$direct" "$status"
        expect "$path: from the cache" MISS "$(field larder X-Cache)"
        case $(field larder Retry-After) in
        [1-9]*) ;;
        *) expect "$path: Retry-After" "a number of seconds" "$(field larder Retry-After)" ;;
        esac
        # Its words or ours, both an error's.
        if ! grep -qE '^\{"(detail|error)":' "$scratch/larder.body"; then
            expect "$path: body" "an error" "$(head -c 80 "$scratch/larder.body")"
        fi
    done
}

redirection() {
    both /api/gateways
    expect "/api/gateways: status" 307 "$status"
    printf '    Location: %s (the server: %s)\n' "$(field larder Location)" "$(field direct Location)"
    if [ "$preset" = pypowerwall ]; then
        expect "/api/gateways: followed" "200 $larder/api/gateways/" \
            "$(ask followed "$larder/api/gateways" -L -w '%{http_code} %{url_effective}')"
        expect "/api/gateways: the list" "$(curl -s --max-time 20 "$origin/api/gateways/")" "$(cat "$scratch/followed.body")"
    else
        expect "/api/gateways: Location" "$(field direct Location)" "$(field larder Location)"
    fi
}

# Two visitors, one page, twice each: the second never sees what was set for the first.
cookies() {
    local visitor path wanted
    for path in / /api/gateways/ /api/aggregate/ /control/status; do
        wanted=200
        # No gateway is online: sums of nothing are no readings.
        if [ "$preset" = pypowerwall ] && [ "$path" = /api/aggregate/ ]; then wanted=503; fi
        for visitor in anna otto anna otto; do
            both "$path" -b "visitor=$visitor"
            expect "$path for $visitor: status" "$wanted" "$status"
            if [ "$(field larder X-Cache)" = MISS ] && [ -n "$(field larder Set-Cookie)" ]; then
                expect "$path for $visitor: cookies" "$(field direct Set-Cookie)" "$(field larder Set-Cookie)"
            fi
        done
    done
}

the_rest() {
    both /does-not-exist
    expect "/does-not-exist: status" 404 "$status"
    same_body /does-not-exist
    both /control/reserve --data 'value=20&token=none'
    expect "POST /control/reserve: status" "$direct" "$status"
    same_body "POST /control/reserve"
    both /aggregates -X OPTIONS
    expect "OPTIONS /aggregates: status" "$direct" "$status"
    # Larder's own /health stands before the server's, which has another way to it.
    ask direct "$origin/health" >"$scratch/status"
    expect "/_larder/origin/health: status" 200 "$(ask larder "$larder/_larder/origin/health")"
    same_body /_larder/origin/health
}

# Any page may read what the preset serves, an error included.
cross_origin() {
    local path
    for path in /api/gateways/ /aggregates; do
        both "$path" -H 'Origin: http://dashboard.test'
        expect "$path: CORS" '*' "$(field larder Access-Control-Allow-Origin)"
    done
}

preset=${LARDER_PRESET:-pypowerwall}
binary=${1:-}
if [ -z "$binary" ]; then
    cargo build --quiet
    binary=target/debug/larder
fi
install_server
start_server
start_larder
pages
no_readings
redirection
cookies
the_rest
if [ "$preset" = pypowerwall ]; then cross_origin; fi
kill -TERM "$larder_pid"
wait "$larder_pid" || expect "the end of larder: exit code" 0 $?
printf '%d wrong\n' "$failures"
[ "$failures" = 0 ]
