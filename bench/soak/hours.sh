#!/usr/bin/env bash
# Lives through so many hours of virtual time (10000 if not said), each with the faults of its own seed, and writes what came
# of it beside this file, under today's date. Ends with an error if any went wrong.
#
#   bench/soak/hours.sh [HOURS]
set -euo pipefail
cd "$(dirname "$0")/../.."
hours=${1:-10000}
report=bench/soak/hours-$(date -u +%F).txt
echo "# $(date -u '+%F %H:%M') UTC, $(nproc) cores, $(git rev-parse --short HEAD), $hours hours" >>"$report"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# What is asked is what it does, not how fast.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 LARDER_HOURS=$hours
outcome=0
cargo test --release --test hour must_show_2 -- --nocapture >"$log" 2>&1 || outcome=$?
grep -E '^[0-9]+\.\.|went wrong|^LARDER_HOUR=|^test result' "$log" | cut -c1-400 | tee -a "$report"
exit "$outcome"
