#!/usr/bin/env bash
# Instructions of one hit through the real program and its sockets, counted by callgrind: hardly anything disturbs them.
# The difference between many hits and some on one connection, by how many more they are; then where they are spent.
# Usage: bench/instructions.sh [--no-default-features]   Installs Debian's valgrind where missing; needs python3.
set -euo pipefail
cd "$(dirname "$0")/.."
exec </dev/null

command -v valgrind >/dev/null || {
    apt-get update -q >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -qy valgrind >&2
}

# As it is shipped, but with its names. glibc: valgrind has to know the C library to find its way in.
CARGO_PROFILE_RELEASE_STRIP=none cargo build --release --target-dir target/instructions "$@" >&2
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 bench/instructions.py target/instructions/release/larder "$scratch"
