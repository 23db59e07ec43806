#!/usr/bin/env bash
# Instructions and allocations of one hit (three heads), one miss and one POST through the static program and its sockets, counted
# by callgrind: hardly anything disturbs them. The difference between 2N and N requests on one connection, by N; then where they
# are spent. Usage: bench/instructions.sh [WORD]   only the kinds with this word in their names
# Installs Debian's valgrind where missing; needs python3. LARDER_BIN=path counts that binary, which needs its symbols.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

command -v valgrind >/dev/null || {
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy valgrind >&2
}

if [ -z "${LARDER_BIN:-}" ]; then
    # As it is shipped, but with its names.
    target=x86_64-unknown-linux-musl
    CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --target "$target" --target-dir target/instructions >&2
    LARDER_BIN=target/instructions/$target/release/larder
fi
cargo build --release --manifest-path bench/client/Cargo.toml --target-dir target/bench-client >&2
BENCH_CLIENT=target/bench-client/release/bench-client
export BENCH_CLIENT
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 bench/instructions.py "$LARDER_BIN" "$scratch" "${1:-}"
