#!/usr/bin/env bash
# Runs fuzz targets for so many seconds (3600 if not said), all of them beside each other and at the lowest priority, and
# writes what came of it beside this file, under today's date: with what each had of the processors, since they share them.
# Ends with an error if any found something; what it found is in fuzz/artifacts.
#
#   bench/soak/fuzz.sh [SECONDS] [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-3600}
shift || true
targets=("$@")
((${#targets[@]})) || mapfile -t targets < <(cargo fuzz list)
report=bench/soak/fuzz-$(date -u +%F).txt
started=$(date -u '+%F %H:%M')
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
RUSTC_BOOTSTRAP=1 cargo fuzz build
running=()
for target in "${targets[@]}"; do
    (
        TIMEFORMAT='%U %S'
        export RUSTC_BOOTSTRAP=1
        time nice -n 19 cargo fuzz run "$target" -- -max_total_time="$seconds" -print_final_stats=1 >"$logs/$target" 2>&1
    ) 2>"$logs/$target.time" &
    running+=($!)
done
{
    echo "# $started UTC, $(nproc) cores, $(git rev-parse --short HEAD), $seconds s a target, ${#targets[@]} beside each other"
    printf '%-12s %14s %12s %12s %8s\n' target executions 'a second' 'CPU seconds' coverage
} >>"$report"
found=0
for i in "${!targets[@]}"; do
    target=${targets[$i]}
    if ! wait "${running[$i]}"; then
        found=1
        tail -n 40 "$logs/$target"
        echo "$target found something: see fuzz/artifacts/$target" | tee -a "$report"
        continue
    fi
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$logs/$target" | tail -n 1)
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$logs/$target" | tail -n 1)
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$logs/$target" | tail -n 1)
    cpu=$(awk '{ printf "%.0f", $1 + $2 }' "$logs/$target.time")
    printf '%-12s %14s %12s %12s %8s\n' "$target" "$executions" "$rate" "$cpu" "$coverage" | tee -a "$report"
done
exit "$found"
