#!/usr/bin/env bash
# Runs every fuzz target for so many seconds (3600 if not said), one after another, and writes what came of it beside this
# file, under today's date. Ends with an error at the first finding.
#
#   bench/soak/fuzz.sh [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-3600}
shift || true
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cargo fuzz list)
report=bench/soak/fuzz-$(date -u +%F).txt
{
    echo "# $(date -u '+%F %H:%M') UTC, $(nproc) cores, $(git rev-parse --short HEAD), $seconds s a target"
    printf '%-12s %14s %12s %8s\n' target executions 'a second' coverage
} >>"$report"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for target in "${targets[@]}"; do
    if ! RUSTC_BOOTSTRAP=1 cargo fuzz run "$target" -- -max_total_time="$seconds" -print_final_stats=1 >"$log" 2>&1; then
        tail -n 40 "$log"
        printf '%-12s found something: see fuzz/artifacts/%s\n' "$target" "$target" >>"$report"
        exit 1
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log" | tail -n 1)
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-12s %14s %12s %8s\n' "$target" "$executions" "$rate" "$coverage" | tee -a "$report"
done
