"""A tiny but real generator: random weights, its own text tokenizer, two languages, three parts."""
from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from transformers import MBartConfig, MBartModel, MBartTokenizer
from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

from soke.data.recordings import Recording
from soke.generator.model import SignGenerator
from soke.generator.settings import Generator, Retrieval
from soke.generator.spec import GeneratorSpec
from soke.generator.text_tokenizer import AS_THEY_ARE, TextTokenizer
from soke.run.config import load_config

SETTINGS = load_config("configs/soke.yaml").generator
CODEBOOKS = {"body": 7, "lhand": 11, "rhand": 5}
M3T = dict(streams={"body": 7, "lhand": 9, "rhand": 9, "face": 13}, prompts="language_and_part")


def make_text_tokenizer() -> TextTokenizer:
    characters = "▁abcdefghijklmnopqrstuvwxyzäöüßABCDEFGHIJKLMNOPQRSTUVWXYZ,.0123456789雨天关键词明"
    words = [(f"▁{word}", -3.0) for word in ("rain", "sun", "snow", "tomorrow", "morgen", "regen")]
    specials = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    languages = [(code, 0.0) for code in FAIRSEQ_LANGUAGE_CODES]
    vocabulary = [*specials, *((c, -8.0) for c in characters), *words, *languages, ("<mask>", 0.0)]
    return TextTokenizer(MBartTokenizer(vocab=vocabulary), AS_THEY_ARE)


def recorded(entries: dict[str, torch.Tensor]) -> dict[str, list[Recording]]:
    """One recording of each word."""
    return {word: [Recording(f"{word}-1", codes)] for word, codes in entries.items()}


def retrieval(**changes) -> Retrieval:
    """The default settings, but for the changes."""
    return replace(SETTINGS.retrieval, **changes)


def settings_of_before(folder: Path) -> dict[str, Any]:
    """What a generator's table of settings holds, without the hashes that earlier versions did not write."""
    saved = json.loads((folder / "generator.json").read_text(encoding="utf-8"))
    del saved["files"], saved["hash"]
    return saved


def make_spec(**changes) -> GeneratorSpec:
    """changes: of the spec, of its settings, and, with retrieval_ before the name, of those of the retrieval"""
    names = {field.name for field in fields(Generator)}
    of_settings = {name: changes.pop(name) for name in list(changes) if name in names}
    looked_up = {
        name.removeprefix("retrieval_"): changes.pop(name) for name in list(changes) if name.startswith("retrieval_")
    }
    settings = replace(SETTINGS, **of_settings, retrieval=retrieval(**looked_up))
    given = dict(languages=["DGS"], streams=CODEBOOKS, tokenizer_hash="0123456789ab", fps={"DGS": 25.0})
    return GeneratorSpec(settings, **{**given, **changes})


def make_generator(seed: int = 0, keywords=None, **changes) -> SignGenerator:
    torch.manual_seed(seed)
    text_tokenizer = make_text_tokenizer()
    config = MBartConfig(
        vocab_size=len(text_tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=160,
        scale_embedding=True, init_std=0.3,
    )
    settings = dict(languages=["ASL", "DGS"], fps={"ASL": 24.0, "DGS": 25.0}, max_steps=12)
    count = len(changes.get("streams", CODEBOOKS))
    signs = {"ASL": {"rain": torch.randint(0, 5, (14, count)), "sun": torch.randint(0, 5, (4, count))}, "DGS": {}}
    signs = {language: recorded(entries) for language, entries in signs.items()}
    return SignGenerator(make_spec(**{**settings, **changes}), MBartModel(config), text_tokenizer, signs, keywords).eval()
