#!/usr/bin/env bash
# Larder beside nginx and Varnish: CPU, rates, latency, memory, misses, large bodies, routes and starts, in one run.
# Prints a Markdown table for docs/BENCHMARKS.md, with the targets. About 20 minutes; --quick takes three; --help tells more.
# Installs nginx and Varnish from Debian where they are missing. Root, or `ulimit -n 20000`.
# LARDER_BIN=path measures that binary instead of building the static one.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

missing=()
command -v nginx >/dev/null || missing+=(nginx)
command -v varnishd >/dev/null || missing+=(varnish)
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
cargo build --release --manifest-path bench/client/Cargo.toml --target-dir target/bench-client >&2
BENCH_CLIENT=target/bench-client/release/bench-client
export LARDER_BIN BENCH_CLIENT PYTHONDONTWRITEBYTECODE=1
exec python3 bench/compare "$@"
