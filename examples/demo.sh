#!/usr/bin/env bash
# The main job on a real model: demo.sh BUILD_FOLDER MODEL PYTHON
set -euo pipefail
build=$1 model=$2 python=$3
here=$(dirname "$0")
intaglio=$build/intaglio
out=$build/demo/$model
mkdir -p "$out"

labels=()
preprocess=()
case $model in
  digits)
    program=$here/digits/digits.pt2
    calibration=$here/digits/calibration
    test=$here/digits/test
    labels=(--labels "$here/digits/test_labels.npy")
    ;;
  efficientnet_lite0)
    # ImageNet weights come from a Python package, so this model is exported with the oracles first.
    [ -f "$out/$model.pt2" ] || {
      make --no-print-directory oracle
      echo "exporting $model"
      "$python" "$here/efficientnet_lite0/export.py" "$out"
    }
    program=$out/$model.pt2
    calibration=$out/calibration
    test=$out/test
    preprocess=(--preprocess "resize=256,crop=224,mean=0.498039:0.498039:0.498039,std=0.501961:0.501961:0.501961")
    ;;
  smollm2) exec "$here/smollm2/demo.sh" "$build" "$out" "$python" ;;
  *)
    echo "demo: MODEL is digits, efficientnet_lite0 or smollm2" >&2
    exit 2
    ;;
esac

echo "building $out/float.pte"
"$intaglio" build "$program" -o "$out/float.pte" --recipe xnnpack_fp32 --quiet
echo "calibrating and building $out/int8.pte"
"$intaglio" build "$program" -o "$out/int8.pte" --recipe xnnpack_pt2e_int8_static_per_channel \
  --calibrate "$calibration" "${preprocess[@]}" --save-plan "$out/plan.json"
echo
"$intaglio" compare "$program" "$out/float.pte" --data "$test" "${preprocess[@]}" "${labels[@]}" --title "float .pte beside the .pt2"
echo
"$intaglio" compare "$program" "$out/int8.pte" --data "$test" "${preprocess[@]}" "${labels[@]}" --title "int8 .pte beside the .pt2"
