"""What a test has found: gathered from its processes, and saved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Sequence

from soke.body.motion import Motion
from soke.data.clip import Clip, SkippedClip
from soke.data.storage.saved import write_motion
from soke.metrics.ratios import UNDEFINED
from soke.report.tables import ResultTable, write_clips
from soke.run.processes import World
from soke.storage import new_file


@dataclass
class Evaluation:
    """A test's outcome; what is per clip is of this process's clips until `gather`.

    table:       the scores
    summary:     of the table, see `ResultTable.print_summary`
    clips:       one dict per clip and row: corpus, clip, row, frames, then every score
    predictions: (corpus, clip name) -> the motion that was made, at the frame rate it was made at
    skipped:     clips that could not be read
    unscored:    (corpus, clip name, the row that cannot be scored, or "text") -> why no row has scores of its motion,
                 or of its text
    undefined:   a column that no reference defines -> the corpora, of all processes
    files:       name of a file that the test writes besides -> what writes it to a path
    """

    table: ResultTable
    summary: Sequence[Sequence[tuple[str, str]]] = ()
    clips: list[dict[str, object]] = field(default_factory=list)
    predictions: dict[tuple[str, str], Motion] = field(default_factory=dict)
    skipped: list[SkippedClip] = field(default_factory=list)
    unscored: dict[tuple[str, str, str], str] = field(default_factory=dict)
    undefined: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, Callable[[Path], None]] = field(default_factory=dict)

    def keep(self, clips: Sequence[Clip], motions: Sequence[Motion]) -> None:
        """The motions that were made for clips become predictions."""
        self.predictions |= {(clip.corpus, clip.name): motion for clip, motion in zip(clips, motions, strict=True)}

    def gather(self, world: World) -> Evaluation:
        """The outcome of all processes, in all of them; the table says what was left out."""
        # In an order that does not tell how many processes there were.
        order = {key: i for i, key in enumerate(dict.fromkeys((c.corpus, c.row) for c in self.table.cells))}
        clips = world.gathered(self.clips)
        clips.sort(key=lambda c: (order.get((c["corpus"], c["row"]), len(order)), c["clip"]))
        skipped = sorted(world.gathered(self.skipped), key=str)
        unscored = dict(sorted(world.gathered(list(self.unscored.items()))))
        if skipped:
            first = skipped[0]
            self.table.notes.append(f"{len(skipped)} clips could not be read; the first, {first}: {first.reason}")
        for (corpus, _, row), reason in list(unscored.items())[:1]:
            self.table.notes.append(
                f"{len(unscored)} clips have no scores of motion, or of text, in any row; the first, {row} on "
                f"{corpus}: {reason}"
            )
        if self.undefined:
            columns = (f"{column} ({', '.join(corpora)})" for column, corpora in self.undefined.items())
            self.table.notes.append(UNDEFINED + ", ".join(columns))
        predictions = dict(world.gathered(list(self.predictions.items())))
        return Evaluation(
            self.table, self.summary, clips, predictions, skipped, unscored, self.undefined, self.files
        )

    def save(self, folder: Path, predictions: bool = False) -> None:
        """Writes table.txt, .json, .csv, clips.csv, skipped_clips.txt and unscored_clips.txt if any, the test's own
        files, and predictions/<corpus>/<clip>.npz."""
        folder = Path(folder)
        self.table.save(folder)
        if self.clips:
            write_clips(folder, self.clips)
        unscored = [f"{corpus}/{clip}\t{row}\t{reason}\n" for (corpus, clip, row), reason in self.unscored.items()]
        for name, lines in (
            ("skipped_clips.txt", [f"{s}\t{s.reason}\n" for s in self.skipped]), ("unscored_clips.txt", unscored),
        ):
            if lines:
                with new_file(folder / name) as path:
                    path.write_text("".join(lines), encoding="utf-8")
        for name, write in self.files.items():
            with new_file(folder / name) as path:
                write(path)
        if predictions:
            for (corpus, name), motion in self.predictions.items():
                write_motion(folder / "predictions" / corpus / f"{name}.npz", motion)
