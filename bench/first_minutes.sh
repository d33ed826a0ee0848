#!/usr/bin/env bash
# A newcomer's first minutes: CPU time from a fresh clone to the demo's table, without a compiler cache.
# Debian's packages and .venv are taken from this checkout (`make setup`). Prints seconds of all processes, user and system.
set -euo pipefail
cd "$(git -C "$(dirname "$0")" rev-parse --show-toplevel)"
clone=$(mktemp -d)
trap 'rm -rf "$clone"' EXIT
git clone -q . "$clone/intaglio"
ln -s "$(realpath .venv)" "$clone/intaglio/.venv"
export CCACHE_DISABLE=1 TIMEFORMAT="first minutes: %U s user, %S s system, %R s wall"
time make --no-print-directory -C "$clone/intaglio" demo
