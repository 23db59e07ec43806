#!/usr/bin/env bash
# Must-show 6: a million distinct URLs through the socket of the release build, and the memory that costs.
# Usage: bench/million-urls.sh [number of URLs]
set -euo pipefail
cd "$(dirname "$0")/.."

LARDER_URLS=${1:-1000000} timeout 900 \
    cargo test --release --test it must_show_6 -- --nocapture --test-threads 1
