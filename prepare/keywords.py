"""Write the lexicon words of every sentence, SOKE's name2kws_{train,val,test}.json.

    python -m prepare.keywords --cfg configs/soke.yaml --out data/keywords

With --match soke_substring the files follow the published ones, which in val and test repeat the training clips.
"""
from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from soke.build.data import corpora_of, lexicon_of
from soke.data.clip import SPLITS, Corpus, locales_of
from soke.data.keyword_lists import write_keywords
from soke.errors import UserError
from soke.run import cli
from soke.run.config import load_config
from soke.text.locales import completed
from soke.text.matching import MATCHERS


def keywords(corpora: Sequence[Corpus], lexicon: Corpus, match: str) -> dict[str, dict[str, list[str]]]:
    """{split: {clip name: all lexicon words in its sentence, the longest first}}. Raises UserError without words."""
    words: dict[str, list[str]] = {}
    for clip in getattr(lexicon, "annotated", lexicon.clips)("train"):
        words.setdefault(clip.language, []).append(clip.text)
    if not words:
        raise UserError("the lexicon names no words; check DATASET.LEXICON")
    locales = locales_of(corpora)
    matcher = MATCHERS[match](words, completed([*words, *locales], locales))
    found: dict[str, dict[str, list[str]]] = {split: {} for split in SPLITS}
    for corpus in corpora:
        for split in SPLITS:
            clips = getattr(corpus, "annotated", corpus.clips)(split)
            for clip in tqdm(clips, desc=f"{corpus.name} {split}", leave=False):
                found[split][clip.name] = [match.word for match in matcher.find(clip.text, clip.language)]
    if match == "soke_substring":
        found |= {split: {**found["train"], **found[split]} for split in ("val", "test")}
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.keywords", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="configuration that names the corpora and the lexicon")
    parser.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    parser.add_argument("--match", choices=list(MATCHERS), help="default: GENERATOR.RETRIEVAL.MATCH")
    parser.add_argument("--out", type=Path, required=True, help="folder of the three files")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value")
    options = parser.parse_intermixed_args(arguments)
    config = load_config(options.cfg, options.cfg_assets, options.overrides)
    corpora = corpora_of(config)
    lexicon = lexicon_of(config, known=[corpus.language for corpus in corpora])
    if lexicon is None:
        raise UserError("DATASET.LEXICON is null: name the folder of the isolated signs")
    match = options.match or config.generator.retrieval.match
    for split, found in keywords(corpora, lexicon, match).items():
        path = options.out / f"name2kws_{split}.json"
        write_keywords(path, found)
        covered = sum(bool(words) for words in found.values())
        print(f"{path}: {covered} of {len(found)} sentences hold a word of the lexicon")


if __name__ == "__main__":
    cli.run(main)
