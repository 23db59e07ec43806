#!/bin/sh
# Plants known bugs, one at a time, in a copy of the tree: the model test has to find each of them.
#
#   tests/planted/run.sh            all of them
#   tests/planted/run.sh no-x       tests/planted/no-x.patch only
set -eu

root=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
copy=$root/target/planted
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$root/target/model}"
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export RUSTFLAGS="--cfg larder_shuttle" RUST_BACKTRACE=0
log=$root/target/planted.log

fail() {
    echo "planted: $*" >&2
    exit 1
}

# A fresh copy, all of it newer than what was built before.
copy_tree() {
    rm -rf "$copy"
    mkdir -p "$copy"
    (cd "$root" && git ls-files -z | tar --null --files-from=- --create --file=-) |
        tar --extract --touch --file=- --directory="$copy"
}

# Prints the tests that fail. Each runs in a process of its own, because some failures end it.
failing() {
    (cd "$copy" && cargo test --release --test model --no-run) >"$log" 2>&1 || fail "$1: does not build, see $log"
    model=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log")
    tests=$("$model" --list | sed -n 's/: test$//p')
    [ -n "$tests" ] || fail "$1: no tests in the model"
    # Who is forgotten is a deadlock, which the checker sees; the time limit is for a loop without an end.
    for test in $tests; do
        timeout 300 "$model" --exact "$test" >"$log.$test" 2>&1 || echo "$test"
    done
}

copy_tree
found=$(failing "the tree as it is")
[ -z "$found" ] || fail "the tree as it is fails in" $found

survivors=""
for patch in "$root"/tests/planted/${1:-*}.patch; do
    bug=$(basename "$patch" .patch)
    copy_tree
    patch --directory="$copy" --strip=1 --fuzz=0 --silent <"$patch" || fail "$bug does not apply any more"
    found=$(failing "$bug")
    if [ -n "$found" ]; then
        echo "$bug: caught by" $found
    else
        echo "$bug: NOT CAUGHT"
        survivors="$survivors $bug"
    fi
done
[ -z "$survivors" ] || fail "not caught:$survivors"
