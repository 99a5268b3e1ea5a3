"""name2kws files of whole corpora."""
from __future__ import annotations

from prepare import keywords
from soke.data.keyword_lists import read_keywords
from soke.data.synthetic.writer import write_corpora


def test_the_command(tmp_path):
    write_corpora(tmp_path, "tiny", 3)
    roots = [f"DATASET.CORPORA.{n}.ROOT={tmp_path / f}" for n, f in
             (("how2sign", "How2Sign"), ("csl", "CSL-Daily"), ("phoenix", "Phoenix_2014T"))]
    arguments = ["--cfg", "configs/soke.yaml", *roots, f"DATASET.LEXICON={tmp_path / 'lexicon'}", "--out"]
    keywords.main([*arguments, str(tmp_path / "token")])
    keywords.main([*arguments, str(tmp_path / "published"), "--match", "soke_substring"])
    token, published = (
        {split: read_keywords(tmp_path / kind / f"name2kws_{split}.json") for split in ("train", "val", "test")}
        for kind in ("token", "published")
    )
    assert {split: len(clips) for split, clips in token.items()} == {"train": 36, "val": 12, "test": 12}
    assert {split: len(clips) for split, clips in published.items()} == {"train": 36, "val": 48, "test": 48}
    assert all(words == sorted(words, key=len, reverse=True) for words in token["train"].values())
    assert sum(map(bool, token["train"].values())) > 18, "the lexicon covers these sentences"
