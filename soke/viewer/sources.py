"""What can be shown: the clips of result folders, of a corpus or of the lexicon. No motion is read before it is shown."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from soke.body.motion import JointMotion, Motion
from soke.body.posed import Posed
from soke.data.clip import Clip, Corpus
from soke.data.storage.saved import read_motion
from soke.errors import UserError
from soke.evaluation.references import GROUND_TRUTH
from soke.report.results import read_clips, read_results
from soke.storage import read_text
from soke.viewer.choosing import Entry
from soke.viewer.signing import Signed

REFERENCE = "reference"


@dataclass(frozen=True)
class Shown:
    """A figure that a source has for its entries.

    motion: entry -> its motion, or how a system has signed it; raises UserError where it has none
    body:   that its motions pose
    slow:   whether a model has to sign it first
    """

    motion: Callable[[Entry], Motion | JointMotion | Signed]
    body: Callable[[], Posed]
    slow: bool = False


@dataclass
class Source:
    """Entries of one kind.

    listed:     () -> its entries; raises UserError where there are none to list
    figures:    label -> figure; the reference first
    directions: column of the scores -> whether higher is better, see `Query.of`
    clip:       entry -> the corpus's clip that it is, or None
    """

    name: str
    listed: Callable[[], list[Entry]]
    figures: Mapping[str, Shown]
    directions: Mapping[str, bool | None] = field(default_factory=dict)
    clip: Callable[[Entry], Clip | None] = lambda entry: None

    @cached_property
    def entries(self) -> list[Entry]:
        return self.listed()

    @cached_property
    def _by_key(self) -> dict[tuple[str, str], Entry]:
        return {entry.key: entry for entry in self.entries}

    def find(self, corpus: str, name: str) -> Entry | None:
        return self._by_key.get((corpus, name))

    @property
    def corpora(self) -> list[str]:
        return list(dict.fromkeys(entry.corpus for entry in self.entries))

    @property
    def systems(self) -> list[str]:
        """Those that have scores."""
        return list(dict.fromkeys(system for entry in self.entries for system in entry.scores))


class Clips:
    """The clips of corpora, listed one split at a time when they are first asked for.

    splits: of the corpora, those in which clips are looked for
    """

    def __init__(self, corpora: Sequence[Corpus], splits: Sequence[str]):
        self.corpora, self.splits = {corpus.name: corpus for corpus in corpora}, splits
        self._found: dict[tuple[str, str], dict[str, Clip]] = {}

    def of_split(self, split: str) -> Clips:
        """Those of one split alone; what one has listed, the other need not list again."""
        own = Clips(list(self.corpora.values()), [split])
        own._found = self._found
        return own

    def of(self, corpus: str, split: str) -> dict[str, Clip]:
        """Name -> clip. Raises UserError as `Corpus.clips` does."""
        if (corpus, split) not in self._found:
            self._found[corpus, split] = {clip.name: clip for clip in self.corpora[corpus].clips(split)}
        return self._found[corpus, split]

    def clip(self, entry: Entry) -> Clip | None:
        """None where no split has it, or has files on this machine."""
        for split in self.splits if entry.corpus in self.corpora else ():
            try:
                if entry.name in (found := self.of(entry.corpus, split)):
                    return found[entry.name]
            except UserError:
                continue
        return None

    def motion(self, entry: Entry) -> Motion | JointMotion:
        clip = self.clip(entry)
        if clip is None:
            raise UserError(f"the reference of {entry.corpus}/{entry.name} is not on this machine")
        return self.corpora[entry.corpus].load(clip)


class ResultFolder:
    """A folder that test.py has written. Raises UserError for one that it has not.

    name:       of the system
    row:        of its table that has been tested
    directions: column of clips.csv -> whether higher is better
    clips:      (corpus, clip) -> row -> what clips.csv has in it
    """

    def __init__(self, folder: Path):
        self.folder, self.name = Path(folder), Path(folder).resolve().name
        cells = read_results(folder).cells
        lines = read_clips(self.folder)
        scored = {column for line in lines for column, value in line.items() if value}  # others are of no single clip
        self.directions = {
            column: cell.score.higher_is_better for cell in cells for unit in cell.score.values
            if (column := cell.score.signature.column(unit)) in scored
        }
        self.row = next((cell.row for cell in cells if cell.row != GROUND_TRUTH), GROUND_TRUTH)
        self.clips: dict[tuple[str, str], dict[str, dict[str, str]]] = {}
        for line in lines:
            self.clips.setdefault((line["corpus"], line["clip"]), {})[line["row"]] = line

    def scores(self, key: tuple[str, str]) -> dict[str, float]:
        line = self.clips[key].get(self.row, {})
        return {column: _number(line[column]) for column in self.directions if line.get(column)}

    def reading(self, key: tuple[str, str], row: str) -> str | None:
        return self.clips[key].get(row, {}).get("translation") or None

    def text(self, key: tuple[str, str]) -> str:
        return next((line["text"] for line in self.clips[key].values() if line.get("text")), "")

    def motion(self, entry: Entry) -> Motion | JointMotion:
        """The saved prediction."""
        root = self.folder / "predictions"
        if not root.is_dir():
            raise UserError(f"{self.folder} holds no predictions: test with TEST.SAVE_PREDICTIONS=true")
        path = root / entry.corpus / f"{entry.name}.npz"
        if root.resolve() not in path.resolve().parents:
            raise UserError(f"{entry.corpus}/{entry.name} lies outside of {root}")
        return read_motion(path)

    def faulty(self) -> list[Entry]:
        """The clips that the test could not read, or not score."""
        found = []
        for file, reason_at in (("skipped_clips.txt", 1), ("unscored_clips.txt", 2)):
            if (self.folder / file).is_file():
                for line in filter(str.strip, read_text(self.folder / file).split("\n")):
                    values = line.split("\t")
                    corpus, _, name = values[0].partition("/")
                    found.append(Entry(corpus, name, fault=f"{self.name}: {values[min(reason_at, len(values) - 1)]}"))
        return found


def results_source(
    folders: Mapping[str, ResultFolder], bodies: Mapping[str, Callable[[], Posed]], references: Clips,
    signed: Mapping[str, Shown] = {},
) -> Source:
    """The clips of result folders, matched by corpus and name.

    folders, bodies: by the label of their figures
    references:      of the clips
    signed:          label -> what models that are at hand sign; in the place of a folder of the same label that has no
                     predictions
    """
    saved = {
        label: Shown(folder.motion, bodies[label]) for label, folder in folders.items()
        if label not in signed or (folder.folder / "predictions").is_dir()
    }
    first = next(iter(bodies.values()))
    figures = {REFERENCE: Shown(references.motion, first), **signed, **saved}
    directions = {column: way for folder in folders.values() for column, way in folder.directions.items()}
    return Source("results", lambda: _entries_of(folders), figures, directions, references.clip)


def _entries_of(folders: Mapping[str, ResultFolder]) -> list[Entry]:
    entries: dict[tuple[str, str], Entry] = {}
    for label, folder in folders.items():
        for key in folder.clips:
            entry = entries.get(key, Entry(*key, folder.text(key)))
            read = {REFERENCE: folder.reading(key, GROUND_TRUTH), label: folder.reading(key, folder.row)}
            readings = {**{name: text for name, text in read.items() if text}, **entry.readings}
            scores = {**entry.scores, label: folder.scores(key)}
            entries[key] = replace(entry, text=entry.text or folder.text(key), scores=scores, readings=readings)
        for faulty in folder.faulty():
            entry = entries.get(faulty.key, faulty)
            entries[faulty.key] = replace(entry, fault=entry.fault or faulty.fault)
    return list(entries.values())


def corpus_source(
    corpus: Corpus, split: str, clips: Clips, body: Callable[[], Posed], signed: Mapping[str, Shown] = {}
) -> Source:
    """A split of a corpus, or the lexicon: its clips, and those that cannot be used with the reason."""
    own = clips.of_split(split)

    def listed() -> list[Entry]:
        found = [Entry(clip.corpus, clip.name, clip.text, clip.language) for clip in clips.of(corpus.name, split).values()]
        return found + [Entry(corpus.name, each.name, fault=each.reason) for each in corpus.skipped(split)]

    name = corpus.name if corpus.name == "lexicon" else f"{corpus.name} {split}"
    return Source(name, listed, {REFERENCE: Shown(own.motion, body), **signed}, clip=own.clip)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
