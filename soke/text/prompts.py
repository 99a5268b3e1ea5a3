"""Prompts: a spoken-language sentence inside a question of how it is signed (SignLLM's Prompt2LangGloss)."""
from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from soke.errors import UserError
from soke.storage import read_text
from soke.text.locales import TEXT_LOCALE, canonical
from soke.text.spelling import spelled

SLOT = "{}"
OWN_TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True)
class Prompts:
    """Templates, of which every sentence has one: by its name, text and sign language, the seed and perhaps the epoch
    alone, the same on every machine. Raises UserError for a language without templates, and for a bad one.

    templates: sign language -> its templates, each with one `{}`, where the sentence stands
    seed:      of the choice
    """

    templates: dict[str, list[str]]
    seed: int = 0

    def __post_init__(self) -> None:
        for language, lines in self.templates.items():
            if not lines:
                raise _absent(language)
            for line in lines:
                if line.count(SLOT) != 1:
                    raise UserError(f"the prompt template {line!r} of {language} {_slots(line)}")

    @classmethod
    def read(cls, languages: Iterable[str], folder: Path | str | None = None, seed: int = 0) -> Prompts:
        """Those of some sign languages: `prompts_<CODE>.txt` of a folder, a template per line; ours where it has none.

        folder: None: ours alone

        Raises UserError, which names the file and the line, for a template without exactly one `{}`; for a folder
        without any such file, and for a language without templates.
        """
        files = {} if folder is None else _files(Path(folder))
        if folder is not None and not files:
            raise UserError(f"{folder} holds no prompt templates: it needs a file named {_file('ASL')}, or the like")
        files = {**_files(OWN_TEMPLATES), **files}
        chosen = dict.fromkeys(map(canonical, languages))
        unknown = [language for language in chosen if language not in files]
        if unknown:
            raise _absent(*unknown)
        return cls({language: read_templates(files[language]) for language in chosen}, seed)

    def only(self, languages: Iterable[str]) -> Prompts:
        """Those of some of the sign languages."""
        return Prompts({language: self.templates[language] for language in languages}, self.seed)

    def following(self, earlier: Prompts | None) -> Prompts:
        """With those of the sign languages that it lacks."""
        return self if earlier is None else Prompts({**earlier.templates, **self.templates}, self.seed)

    def of(self, name: str, text: str, language: str, epoch: int | None = None) -> str:
        """The prompt of a sentence.

        name:  of its clip
        epoch: another one may have another template; None: that of no epoch

        Raises UserError for a language without templates.
        """
        language = canonical(language)
        if language not in self.templates:
            raise _absent(language)
        templates, key = self.templates[language], f"{self.seed}\0{epoch}\0{language}\0{name}\0{spelled(text)}"
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
        return templates[number % len(templates)].replace(SLOT, text.strip())


def read_templates(path: Path) -> list[str]:
    """The lines of a file that are not empty. Raises UserError for a line without exactly one `{}`, and for none."""
    lines = {number: line.strip() for number, line in enumerate(read_text(path).split("\n"), start=1)}
    for number, line in lines.items():
        if line and line.count(SLOT) != 1:
            raise UserError(f"{path}, line {number}: the template {line!r} {_slots(line)}")
    templates = [line for line in lines.values() if line]
    if not templates:
        raise UserError(f"{path} holds no prompt templates: write one per line, with {SLOT} where the sentence stands")
    return templates


def _files(folder: Path) -> dict[str, Path]:
    """Sign language -> file of its templates. Raises UserError for two files of one, as of GSL and DGS, and for a name
    that is right but for case, blanks and hyphens, and which nobody would read."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = re.fullmatch(r"prompts_(.*)\.txt", path.name, re.IGNORECASE)
        if name is None:
            continue
        language, meant = canonical(name[1]), name[1].strip().upper().replace("_", "-")
        if language not in TEXT_LOCALE and canonical(meant) in TEXT_LOCALE:
            raise UserError(f"{path} is of no sign language {name[1]}: name it {_file(meant)}")
        if path.name != _file(name[1]):
            raise UserError(f"{path} would not be read: name it {_file(meant)}")
        if language in files:
            raise UserError(f"{files[language]} and {path} are both of {language}: keep one")
        files[language] = path
    return files


def _file(language: str) -> str:
    return f"prompts_{language}.txt"


def _slots(line: str) -> str:
    return f"has {line.count(SLOT)} times {SLOT}: write it exactly once, where the sentence stands"


def _absent(*languages: str) -> UserError:
    return UserError(
        f"there are no prompt templates for {', '.join(languages)}: write some into {_file(languages[0])}, one per line, "
        "in the folder that `prompt_folder` names"
    )
