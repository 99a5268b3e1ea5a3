"""phenomena.json: what was put into the synthetic corpora on purpose."""
from __future__ import annotations

from collections.abc import Mapping

import torch

from soke.data.synthetic.corpora import SyntheticCorpus, Take
from soke.data.synthetic.facial_actions import FacialActions
from soke.data.synthetic.grammar import marks_of
from soke.data.synthetic.isolated import IsolatedCorpus
from soke.data.synthetic.visemes import VISEMES

Blinks = Mapping[str, Mapping[str, tuple[float, ...]]]  # folder of a source -> clip -> s


def phenomena_of(corpora: Mapping[str, SyntheticCorpus]) -> dict:
    """Of hands and words, per language and per clip. corpora: folder -> what it holds."""
    languages, clips = {}, {}
    for folder, corpus in corpora.items():
        spoken = corpus.spoken
        languages[spoken.language] = {
            "corpus": folder,
            "rare_words": list(corpus.rare),
            "variant_words": list(spoken.variants),
            "face_pairs": [list(pair) for pair in spoken.face_pairs],
            "left_handed_signers": [signer.name for signer in corpus.signers if signer.left_handed],
        }
        clips[spoken.language] = {take.name: _of_take(take, corpus) for take in corpus.takes}
    return {"languages": languages, "clips": clips}


def _of_take(take: Take, corpus: SyntheticCorpus) -> dict:
    words, spoken = take.sentence.words, corpus.spoken
    paired = {word for pair in spoken.face_pairs for word in pair}
    return {
        "split": take.split,
        "signer": corpus.signers[take.signer].name,
        "left_handed": corpus.signers[take.signer].left_handed,
        "words": list(words),  # in the order in which they are signed
        "rare_words": [word for word in words if word in corpus.rare],
        "variants": {word: choice for word, choice in zip(words, take.choices) if word in spoken.variants},
        "face_words": [word for word in words if word in paired],
    }


def faces_of(
    corpora: tuple[SyntheticCorpus, ...], isolated: IsolatedCorpus, blinks: Blinks, actions: FacialActions,
) -> dict:
    """Of faces: `mouth_shapes` (with the share that ten coefficients keep), `faces` per language and clip, `isolated`
    per clip of the corpus of isolated signs. Runs of signs are the words from the first to the last."""
    faces = {
        corpus.spoken.language: {
            take.name: _face_of_take(take, corpus) | {"blinks": _rounded(blinks[corpus.folder][take.name])}
            for take in corpus.takes
        }
        for corpus in corpora
    }
    alone = {
        take.name: {
            "word": take.sign.word, "group": take.sign.group, "mouthing": list(isolated.face(take).mouthings[0]),
            "brows": take.sign.brows, "blinks": _rounded(blinks[isolated.folder][take.name]),
        }
        for take in isolated.takes
    }
    shapes = {name: {"kept_by_ten_coefficients": share} for name, share in kept_shares(actions).items()}
    return {"mouth_shapes": shapes, "faces": faces, "isolated": alone}


def _face_of_take(take: Take, corpus: SyntheticCorpus) -> dict:
    words, marks = take.sentence.words, marks_of(take.sentence, corpus.spoken)

    def runs(found: tuple[tuple[int, int], ...]) -> list[list[str]]:
        return [list(words[first : last + 1]) for first, last in found]

    plan = corpus.face(take)
    return {
        "mouthings": [list(shapes) for shapes in plan.mouthings],  # of the words in the order in which they are signed
        "topics": runs(marks.topics),
        "questions": runs(marks.questions),
        "negations": runs(marks.negations),
        "looks_at_hand": [word for word, looks in zip(words, plan.looks) if looks],
    }


def kept_shares(actions: FacialActions) -> dict[str, float]:
    """Mouth shape -> the share of its squared vertex displacement (the jaw's apart) that ten coefficients keep."""
    strengths = torch.stack([actions.strengths(shape.actions) for shape in VISEMES.values()])
    kept = actions.kept(actions.expression(strengths), torch.zeros(len(VISEMES), 2))
    return {name: round(float(share), 3) for name, share in zip(VISEMES, kept)}


def _rounded(seconds: tuple[float, ...]) -> list[float]:
    return [round(second, 3) for second in seconds]
