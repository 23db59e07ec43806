#!/usr/bin/env bash
# Regular clients amid hostile ones for so many seconds (600 if not said), by one seed (1 if not said), and writes what came of
# it beside this file, under today's date. Ends with an error if an answer was wrong or lost, or if memory grew.
#
#   bench/soak/hostile.sh [SECONDS] [SEED]
set -euo pipefail
cd "$(dirname "$0")/../.."
export LARDER_HOSTILE_SECONDS=${1:-600} LARDER_HOSTILE_SEED=${2:-1}
report=bench/soak/hostile-$(date -u +%F).txt
echo "# $(date -u '+%F %H:%M') UTC, $(nproc) cores, $(git rev-parse --short HEAD), $LARDER_HOSTILE_SECONDS s, seed $LARDER_HOSTILE_SEED" >>"$report"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# What is asked is what it does, not how fast.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
outcome=0
# The static build, as it is shipped: with glibc, memory creeps for longer, by how its allocator keeps what is free.
cargo test --release --target x86_64-unknown-linux-musl --test hostile must_show_7 -- --nocapture >"$log" 2>&1 || outcome=$?
grep -E 'requests: p50|from the store|^turned away|^resident|^by thirds|^before|^lost:|panicked at|^test result' "$log" |
    cut -c1-400 | tee -a "$report"
exit "$outcome"
