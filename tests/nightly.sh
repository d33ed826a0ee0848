#!/usr/bin/env bash
# The long proofs: nightly.sh BUILD_FOLDER. Results under nightly-results/.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
python=.venv/bin/python
cmake=.venv/bin/cmake
out=nightly-results
mkdir -p "$out"

echo "== oracle tests, the long ones too"
INTAGLIO_NIGHTLY=1 $python -m pytest -q tests | tee "$out/pytest.txt"

echo "== unit tests under address and undefined-behaviour sanitizers"
$cmake -S . -B build-asan -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DINTAGLIO_SANITIZE=ON
$cmake --build build-asan
ctest --test-dir build-asan --output-on-failure | tee "$out/asan.txt"

echo "== fuzz targets, ten minutes each"
command -v clang++ >/dev/null || { sudo=$([ "$(id -u)" = 0 ] || echo sudo); $sudo apt-get install -y -qq clang libclang-rt-14-dev lld; }
$cmake -S . -B build-fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang -DINTAGLIO_FUZZ=ON \
  -DINTAGLIO_SANITIZE=ON -DINTAGLIO_TESTS=OFF -DCMAKE_BUILD_TYPE=RelWithDebInfo
$cmake --build build-fuzz
for target in $(find build-fuzz/src -name '*_fuzz' -type f -perm -u+x); do
  name=$(basename "$target")
  corpus=$out/corpus/$name
  mkdir -p "$corpus"
  seeds=tests/corpus/$name
  [ -d "$seeds" ] || seeds=
  echo "-- $name"
  "$target" -max_total_time="${FUZZ_SECONDS:-600}" -timeout=10 -rss_limit_mb=2048 "$corpus" $seeds 2>&1 | tail -3
done
