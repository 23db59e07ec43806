#!/usr/bin/env bash
# Larder beside nginx and Varnish: rates, CPU, latency, memory, misses and starts, in one run of about 3 minutes.
# Installs nginx, Varnish and wrk from Debian where they are missing; prints a Markdown table.
# LARDER_BIN=path measures that binary instead of building the static one.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

missing=()
command -v nginx >/dev/null || missing+=(nginx)
command -v varnishd >/dev/null || missing+=(varnish)
command -v wrk >/dev/null || missing+=(wrk)
command -v python3 >/dev/null || missing+=(python3)
if ((${#missing[@]})); then
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${missing[@]}" >&2
fi

if [ -z "${LARDER_BIN:-}" ]; then
    target=x86_64-unknown-linux-musl
    cargo build --release --target "$target" >&2
    LARDER_BIN=${CARGO_TARGET_DIR:-target}/$target/release/larder
fi
export LARDER_BIN PYTHONDONTWRITEBYTECODE=1
exec python3 bench/compare
