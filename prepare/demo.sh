#!/usr/bin/env bash
# Shows the whole system at work on invented sign languages: data, tokenizer, codes, generator, scores, pictures.
# Run again, it skips what is done; interrupted, it continues.
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

tokenizer=configs/demo/deto.yaml
generator=configs/demo/soke.yaml
trained=experiments/generator/demo-soke/generator/generator.json
pictures=results/demo-soke/pictures
mkdir -p $pictures
begun=$SECONDS
took() { printf '(%d s)\n' $((SECONDS - begun)); begun=$SECONDS; }
say() { took; printf '\n== %s\n' "$*"; }

say "1/7 synthetic corpora and a small mBART"
python -m prepare.synthetic_corpora --out data/demo --size demo
python -m prepare.small_mbart --corpora data/demo --out deps/mbart-demo --size demo
if [ data/demo/corpora.json -nt experiments/tokenizer/demo-deto/config.yaml ] && ls -d experiments/*/demo-* 2> /dev/null
then
  echo "These were trained on other corpora than data/demo: remove them and results/demo-*, and run this again." >&2
  exit 1
fi

say "2/7 tokenizer: motion to codes"
[ -e experiments/tokenizer/demo-deto/tokenizer ] || python -m train --cfg $tokenizer --nodebug TRAIN.RESUME=auto

say "3/7 codes of all clips and of the lexicon"
python -m get_motion_code --cfg $generator --nodebug

say "4/7 generator: text to codes"
[ -e experiments/generator/demo-soke/generator ] || python -m train --cfg $generator --nodebug TRAIN.RESUME=auto

say "5/7 back-translation: motion to text, a model per corpus"
[ -e experiments/translation/demo-back_translation/phoenix/translation ] ||
  python -m train --cfg configs/demo/back_translation.yaml --nodebug TRAIN.RESUME=auto

say "6/7 a picture and a video"
[ "$pictures/paths.txt" -nt "$trained" ] || {
  python -m vis_mesh --cfg $generator --demo_dataset how2sign --out_dir "$pictures" > "$pictures.paths"
  mv "$pictures.paths" "$pictures/paths.txt"
}

say "7/7 scores on the test split"
scores=results/demo-soke/screen.txt
[ $scores -nt "$trained" ] || {
  python -m test --cfg $generator --task t2m > "$pictures.screen"
  mv "$pictures.screen" $scores
}

say "results"
cat $scores
printf '\nreference and generated signing of a test sentence:\n'
cat "$pictures/paths.txt"
printf '\nsign a sentence of your own:\n%s\n' \
  ".venv/bin/python -m vis_mesh --cfg $generator --text \"the dog sleeps in the garden today\" --language ASL"
