#!/usr/bin/env bash
# Shows a whole system at work on invented sign languages: data, training, scores, pictures.
#   bash prepare/demo.sh            SOKE
#   bash prepare/demo.sh m3t        M3T: with the whole face, and recognition of signs that differ in nothing else
#   bash prepare/demo.sh signllm    SignLLM: text to joint positions without codes, in eight sign languages
# Run again, it skips what is done; interrupted, it continues.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

recognition= face=
case ${1:-soke} in
  soke)
    system=soke stage=generator tokenizer=deto reader=back_translation last_reader=phoenix
    corpora=demo form= shown=how2sign
    ;;
  m3t)
    system=m3t stage=generator tokenizer=m3t_tokenizer reader=m3t_back_translation last_reader=phoenix
    recognition=recognition corpora=face form=--face shown=how2sign face=--face
    ;;
  signllm)
    system=signllm stage=regressor tokenizer= reader=signllm_back_translation last_reader=dsgs
    corpora=signllm form=--skels shown=asl
    ;;
  *) echo "error: no demo $1; there are soke (without an argument), m3t and signllm" >&2; exit 2 ;;
esac
config() { echo "configs/demo/$1.yaml"; }
whole=$stage/demo-$system/$stage  # what the system's own training exports
trained=experiments/$whole/$stage.json
pictures=results/demo-$system/pictures
mkdir -p "$pictures"
begun=$SECONDS
say() { printf '(%d s)\n\n== %s\n' $((SECONDS - begun)) "$*"; begun=$SECONDS; }
# made FILE MODEL: it is there, and not older than the model
made() { [ -e "$1" ] && [ ! "$1" -ot "$2" ]; }
# train NAME FOLDER: unless that folder of its run is there
train() { [ -e "experiments/$2" ] || python -m train --cfg "$(config "$1")" --nodebug TRAIN.RESUME=auto; }

say "synthetic corpora"
python -m prepare.synthetic_corpora --out data/$corpora --size demo $form
if [ $tokenizer ]; then
  first=$tokenizer begins=tokenizer/demo-$tokenizer/tokenizer
  python -m prepare.small_mbart --corpora data/$corpora --out deps/mbart-$corpora --size demo
  say "tokenizer: motion to codes; beside it back-translation: motion to text, a model per corpus"
else
  first=$system begins=$whole
  say "$stage: text to poses; beside it back-translation: motion to text, a model per corpus"
fi
begun_run=experiments/${begins%/*}
if [ data/$corpora/corpora.json -nt $begun_run/config.yaml ] && ls -d $begun_run 2> /dev/null; then
  echo "It was trained on other corpora than data/$corpora: remove it, what was trained after it and results/demo-$system," \
    "and run this again." >&2
  exit 1
fi
half=$(python -c 'import os; print(max(1, os.cpu_count() // 2))')  # of the cores for each
readers=
if [ ! -e experiments/translation/demo-$reader/$last_reader/translation ]; then
  OMP_NUM_THREADS=$half python -m train --cfg "$(config $reader)" --nodebug TRAIN.RESUME=auto > "$pictures.readers" 2>&1 &
  readers=$!
  trap 'kill $readers 2> /dev/null || true' EXIT
fi
OMP_NUM_THREADS=$half train $first $begins

if [ $tokenizer ]; then
  say "codes of all clips and of the lexicon"
  python -m get_motion_code --cfg "$(config $system)" --nodebug

  say "generator: text to codes"
  train $system $whole
fi
wait $readers || { cat "$pictures.readers" >&2; exit 1; }
trap - EXIT

if [ $recognition ]; then
  say "recognition of isolated signs by the tokenizer's features"
  train $recognition recognition/demo-$recognition/recognition
  recognised=results/demo-$recognition/screen.txt
  made $recognised experiments/recognition/demo-$recognition/recognition/recognizer.json || {
    mkdir -p results/demo-$recognition
    python -m test --cfg "$(config $recognition)" > results/demo-$recognition.screen
    mv results/demo-$recognition.screen $recognised
  }
fi

say "a picture and a video"
made "$pictures/paths.txt" "$trained" || {
  python -m vis_mesh --cfg "$(config $system)" --demo_dataset $shown $face --out_dir "$pictures" > "$pictures.paths"
  mv "$pictures.paths" "$pictures/paths.txt"
}

say "scores on the test split"
scores=results/demo-$system/screen.txt
made "$scores" "$trained" || {
  python -m test --cfg "$(config $system)" --task t2m > "$pictures.screen"
  mv "$pictures.screen" "$scores"
}

say "results"
cat "$scores"
[ ! $recognition ] || cat $recognised
printf '\nreference and generated signing of a test sentence:\n'
cat "$pictures/paths.txt"
printf '\nsign a sentence of your own:\n%s\n' \
  ".venv/bin/python -m vis_mesh --cfg $(config $system) --text \"the dog sleeps in the garden today\" --language ASL $face"
