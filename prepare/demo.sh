#!/usr/bin/env bash
# Shows a whole system at work on invented sign languages: data, tokenizer, codes, generator, scores, pictures.
#   bash prepare/demo.sh        SOKE
#   bash prepare/demo.sh m3t    M3T: with the whole face, and recognition of signs that differ in nothing else
# Run again, it skips what is done; interrupted, it continues.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

case ${1:-soke} in
  soke) system=soke tokenizer=deto reader=back_translation recognition= corpora=demo mbart=mbart-demo face= ;;
  m3t)
    system=m3t tokenizer=m3t_tokenizer reader=m3t_back_translation recognition=recognition
    corpora=face mbart=mbart-face face=--face
    ;;
  *) echo "error: no demo $1; there are soke (without an argument) and m3t" >&2; exit 2 ;;
esac
config() { echo "configs/demo/$1.yaml"; }
trained=experiments/generator/demo-$system/generator/generator.json
pictures=results/demo-$system/pictures
mkdir -p "$pictures"
begun=$SECONDS
say() { printf '(%d s)\n\n== %s\n' $((SECONDS - begun)) "$*"; begun=$SECONDS; }
# train NAME FOLDER: unless that folder of its run is there
train() { [ -e "experiments/$2" ] || python -m train --cfg "$(config "$1")" --nodebug TRAIN.RESUME=auto; }

say "synthetic corpora and a small mBART"
python -m prepare.synthetic_corpora --out data/$corpora --size demo $face
python -m prepare.small_mbart --corpora data/$corpora --out deps/$mbart --size demo
if [ data/$corpora/corpora.json -nt experiments/tokenizer/demo-$tokenizer/config.yaml ] &&
  ls -d experiments/tokenizer/demo-$tokenizer 2> /dev/null
then
  echo "It was trained on other corpora than data/$corpora: remove it, what was trained after it and results/demo-$system," \
    "and run this again." >&2
  exit 1
fi

say "tokenizer: motion to codes; beside it back-translation: motion to text, a model per corpus"
half=$(python -c 'import os; print(max(1, os.cpu_count() // 2))')  # of the cores for each
readers=
if [ ! -e experiments/translation/demo-$reader/phoenix/translation ]; then
  OMP_NUM_THREADS=$half python -m train --cfg "$(config $reader)" --nodebug TRAIN.RESUME=auto > "$pictures.readers" 2>&1 &
  readers=$!
  trap 'kill $readers 2> /dev/null || true' EXIT
fi
OMP_NUM_THREADS=$half train $tokenizer tokenizer/demo-$tokenizer/tokenizer

say "codes of all clips and of the lexicon"
python -m get_motion_code --cfg "$(config $system)" --nodebug

say "generator: text to codes"
train $system generator/demo-$system/generator
wait $readers || { cat "$pictures.readers" >&2; exit 1; }
trap - EXIT

if [ $recognition ]; then
  say "recognition of isolated signs by the tokenizer's features"
  train $recognition recognition/demo-$recognition/recognition
  mkdir -p results/demo-$recognition
  python -m test --cfg "$(config $recognition)" > results/demo-$recognition.screen
  mv results/demo-$recognition.screen results/demo-$recognition/screen.txt
fi

say "a picture and a video"
[ "$pictures/paths.txt" -nt "$trained" ] || {
  python -m vis_mesh --cfg "$(config $system)" --demo_dataset how2sign $face --out_dir "$pictures" > "$pictures.paths"
  mv "$pictures.paths" "$pictures/paths.txt"
}

say "scores on the test split"
scores=results/demo-$system/screen.txt
[ "$scores" -nt "$trained" ] || {
  python -m test --cfg "$(config $system)" --task t2m > "$pictures.screen"
  mv "$pictures.screen" "$scores"
}

say "results"
cat "$scores"
[ ! $recognition ] || cat results/demo-$recognition/screen.txt
printf '\nreference and generated signing of a test sentence:\n'
cat "$pictures/paths.txt"
printf '\nsign a sentence of your own:\n%s\n' \
  ".venv/bin/python -m vis_mesh --cfg $(config $system) --text \"the dog sleeps in the garden today\" --language ASL $face"
