"""Model cards: README.md of a repository on the hub, made of what a saved model and the run that trained it say."""
from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from soke import __version__
from soke.body.settings import POSITIONS
from soke.hub import safe_files
from soke.metrics.clips import LEVEL
from soke.report.tables import ABSENT, Cell
from soke.saved import Kind, kind_of
from soke.storage import folder_hash, read_json
from soke.text.locales import TEXT_LOCALE

_FOLDERS = re.compile(r"(?<!\S)/(?:[^\s/]+/)+")  # above a file, which are this machine's affair


@dataclass(frozen=True)
class TrainedOn:
    """A corpus of a training.

    languages: sign languages
    clips:     split -> number of clips; empty: not recorded
    title, terms: what it is, and on which terms it is given
    """

    name: str
    languages: Sequence[str]
    clips: Mapping[str, int]
    title: str
    terms: str


@dataclass(frozen=True)
class Described:
    """A saved model, and what its run has written besides it.

    name:     of its folder within the repository, "" where it is the repository
    corpora:  that it was trained on; empty: not known
    settings: of the training, by their keys
    facts:    other facts of the run, as its versions
    results:  contents of table.json of tests of this very model
    made_of:  what went into it besides: what it is, its role, and the terms on which it is given
    """

    folder: Path
    name: str = ""
    corpora: Sequence[TrainedOn] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    results: Sequence[Mapping[str, Any]] = ()
    made_of: Sequence[tuple[str, str, str]] = ()

    @property
    def kind(self) -> Kind:
        found = kind_of(self.folder)
        assert found is not None, f"{self.folder} holds no model"
        return found


def model_card(models: Sequence[Described], repo: str, licence: str = "", text: str = "") -> str:
    """The card of a repository, with the YAML that the hub reads before it.

    models:  of one kind
    repo:    user/name
    licence: of the weights, by the hub's identifier; "": the author states none
    text:    of the author, in Markdown
    """
    from huggingface_hub import ModelCardData

    kind, configs = models[0].kind, [_config(model) for model in models]
    languages = sorted({language for config in configs for language in languages_of(config)})
    data = ModelCardData(
        language=sorted({locale.split("_")[0] for config in configs for locale in _locales(config).values()}) or None,
        license=licence or None, library_name="soke",
        tags=["sign-language", "sign-language-production", kind.name.replace(" ", "-"), *languages],
    )
    lines = ["---", data.to_yaml().strip(), "---", f"# {repo.split('/')[-1]}", ""]
    of = f" ({', '.join(languages)})" if languages else ""
    lines += [f"A {kind.name} that {kind.does}{of}.", "", *_use(models, repo), ""]
    lines += [text.strip(), ""] if text.strip() else []
    for model, config in zip(models, configs):
        lines += [f"## {model.name or 'Model'}", "", *table(("", ""), _facts(model, config).items()), ""]
        lines += ["### Data", "", *_data(model), "", "### Training", "", *_training(model), ""]
        lines += [line for content in model.results for line in scores(content)]
    lines += ["## Terms", "", *_terms(models, configs), ""]
    lines += [f"The licence of the weights: {licence or 'the author has not stated one'}."]
    return "\n".join(lines) + "\n"


def scores(content: Mapping[str, Any]) -> list[str]:
    """The scores of a table.json, a table per corpus, with their signatures below."""
    cells = [Cell.from_dict(cell) for cell in content["cells"]]
    lines = [f"### Scores: {content['title']}", ""]
    for corpus in dict.fromkeys(cell.corpus for cell in cells):
        of = [cell for cell in cells if cell.corpus == corpus]
        rows, by = list(dict.fromkeys(c.row for c in of)), {}
        for cell in of:
            by.setdefault(cell.score.signature, {})[cell.row] = cell
        lines += [*table((corpus, "clips", "unit", *rows), (_score(found, rows) for found in by.values())), ""]
    if any(cell.score.intervals for cell in cells):
        lines += [f"Ranges: {LEVEL} % bootstrap intervals, over the clips, of the first unit.", ""]
    asked = {key: value for key, value in content.get("conditions", {}).items() if key != "models"}
    notes = [_FOLDERS.sub("", note) for note in content.get("notes", ())]
    lines += [f"- {note}" for note in (*notes, f"Conditions: `{json.dumps(asked)}`")]
    lines += [f"- `{signature}`" for signature in dict.fromkeys(str(cell.score.signature) for cell in cells)]
    return [*lines, ""]


def _score(found: Mapping[str, Cell], rows: Sequence[str]) -> list[str]:
    """A line of the table: metric and part, clips that were scored, units, then the values of every row."""
    first = next(iter(found.values()))
    arrow = {True: " ↑", False: " ↓", None: ""}[first.score.higher_is_better]
    counts = {row: f"{cell.score.clips} of {cell.total}" for row, cell in found.items()}
    texts = {row: cell.text().replace("\n", "<br>") for row, cell in found.items()}
    if len(set(counts.values())) > 1:
        texts = {row: f"{text}<br>{counts[row]}" for row, text in texts.items()}
        counts = {"": "see below each"}
    name, clips = " ".join(filter(None, first.metric)), next(iter(counts.values()))
    return [f"{name}{arrow}", clips, " / ".join(first.score.values), *(texts.get(row, ABSENT) for row in rows)]


def _use(models: Sequence[Described], repo: str) -> list[str]:
    kind = models[0].kind
    module, _, name = kind.loads.rpartition(".")
    lines = [f"In a configuration of soke: `{kind.key}={repo}`."]
    if not models[0].name:
        lines += ["", "```python", f"from {module} import {name}", "", f'model = {name}.from_pretrained("{repo}")', "```"]
    return lines


def _config(model: Described) -> dict[str, Any]:
    """What the folder says; of a generator with what its tokenizer's says."""
    config = read_json(model.folder / model.kind.file, "save the model again")
    if "spec" in config:
        tokenizer = read_json(model.folder / "tokenizer" / "config.json", "save the model again")
        spec = config["spec"]
        return {**tokenizer, **spec, "code_version": config["version"], "hash": spec["tokenizer_hash"]}
    return config


def languages_of(config: Mapping[str, Any]) -> list[str]:
    """The sign languages of a model, where its folder says them."""
    groups = config.get("groups", {}).values()
    own = [config["language"]] if "language" in config else config.get("languages", [])
    return list(dict.fromkeys([*own, *(language for group in groups for language in group["languages"])]))


def _locales(config: Mapping[str, Any]) -> dict[str, str]:
    """Sign language -> locale of its texts."""
    stated = dict(config.get("locales", {}))
    for group in config.get("groups", {}).values():
        stated |= group.get("locales", {})
    if "locale" in config:
        stated[config["language"]] = config["locale"]
    return stated or {name: TEXT_LOCALE[name] for name in languages_of(config) if name in TEXT_LOCALE}


def _facts(model: Described, config: Mapping[str, Any]) -> dict[str, Any]:
    """Of the model itself, by what they are called."""
    made, parameters = config.get("provenance", config.get("made_with", {})), parameters_of(model.folder)
    size = sum((model.folder / file).stat().st_size for file in safe_files(model.folder))
    fps = dict(config.get("fps", {}))
    for group in config.get("groups", {}).values():
        fps |= group["fps"]
    known = {**model.facts, **made, **config}
    found = {
        "hash of the tokenizer" if "tokenizer_hash" in config else "hash": config.get("hash", made.get("tokenizer", "")),
        "hash of the files": folder_hash(model.folder),
        "parts": ", ".join(part["name"] for part in config.get("layout", [])) or ", ".join(config.get("parts", [])),
        "hash of the layout": known.get("layout_hash", ""), "hash of the statistics": known.get("statistics_hash", ""),
        "form of the frames": _form(config, known),
        "codes": ", ".join(f"{stream} {size}" for stream, size in config.get("streams", {}).items()),
        "frames per second": ", ".join(f"{corpus} {rate:g}" for corpus, rate in fps.items()),
        "sign languages, and languages of the texts": ", ".join(f"{k} ({v})" for k, v in _locales(config).items()),
        "signs": len(config.get("signs", ())) or "", "began from mBART": config.get("settings", {}).get("mbart", ""),
        "numbers in its weights": f"{parameters:,}", "size": f"{size:,} bytes",
        "version of soke": config.get("code_version", ""),
    }
    if "made_with" in config:
        found["hash of the tokenizer whose features it reads"] = found.pop("hash")
    return {key: value for key, value in found.items() if value != ""}


def _form(config: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Of the frames, as DATASET.FRAMES; "positions" of joints alone; "" where the folder does not tell."""
    layout = config.get("layout", [])
    if any(part.get("rotation") in POSITIONS for part in layout):
        return "positions"
    return known.get("form_of_frames", "soke") if layout else ""


def parameters_of(folder: Path) -> int:
    """How many numbers the safetensors files of a folder hold."""
    from safetensors import safe_open

    count = 0
    for file in safe_files(folder):
        if file.endswith(".safetensors"):
            with safe_open(folder / file, "pt") as tensors:
                count += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())
    return count


def _data(model: Described) -> list[str]:
    if not model.corpora:
        return ["What it was trained on is not recorded beside it."]
    splits = list(dict.fromkeys(split for corpus in model.corpora for split in corpus.clips))
    heads = ("corpus", "sign languages", *(f"clips of {split}" for split in splits))
    rows = [
        (f"{c.name} ({c.title})", ", ".join(c.languages), *(c.clips.get(split, ABSENT) for split in splits))
        for c in model.corpora
    ]
    return table(heads, rows)


def _training(model: Described) -> list[str]:
    if not model.settings:
        return ["How it was trained is not recorded beside it."]
    rows = [(f"`{key}`", f"`{json.dumps(value, ensure_ascii=False)}`") for key, value in model.settings.items()]
    others = [(key, value) for key, value in model.facts.items() if not key.endswith("_hash")]
    return table(("setting", "value"), [*rows, *others])


def _terms(models: Sequence[Described], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """On which terms there is what the models were trained with."""
    known = licences()
    rows = {(f"{c.name} ({c.title})", "trained on", c.terms) for model in models for c in model.corpora}
    rows |= {row for model in models for row in model.made_of}
    for model, config in zip(models, configs):
        form = _facts(model, config).get("form of the frames", "")
        rows |= {(body, "the body of these poses", terms) for body, terms in known["bodies"].get(form, {}).items()}
        began = str(config.get("settings", {}).get("mbart", ""))
        if began:
            title, terms = known["mbart"]
            real = began.startswith(("mbart-large", "mbart-h2s"))
            rows.add((f"{title} ({began})", "began from", terms if real else known["unknown"]))
    note = f"As far as version {__version__} of soke knows them; what their owners state is what holds."
    return [*table(("what", "role", "terms"), sorted(rows)), "", note]


@cache
def licences() -> dict[str, Any]:
    """The table of terms, `licences.yaml`."""
    return yaml.safe_load(Path(__file__).with_name("licences.yaml").read_text(encoding="utf-8"))


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The lines of a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]
