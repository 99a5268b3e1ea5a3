"""See what is in the corpora before training: `python -m prepare.check_data --cfg configs/soke.yaml`.

Per corpus one screen, a picture (overview.png), every faulty clip with its reason (faulty_clips.tsv), every odd one
(odd_clips.tsv) and the numbers (report.json). Exit status 1 when anything is missing or broken.
"""
from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from prepare.survey import (
    CONSTANT,
    NEARLY_CONSTANT,
    PUBLISHED,
    CorpusSurvey,
    SplitSurvey,
    names_of,
    survey,
)
from soke.build.body import layout_of
from soke.build.data import corpus_of, lexicon_of
from soke.data.clip import Corpus
from soke.errors import UserError
from soke.run import cli
from soke.run.config import Config, load_config, resolve
from soke.storage import new_file

WIDTH = 110
_KINDS_SHOWN = 6


def show(found: CorpusSurvey, used: set[str], console: Console) -> None:
    """Print one screen. used: what the layout has, see `MotionLayout.covers`."""
    console.rule(f"[bold]{found.name}")
    for split, reason in found.absent.items():
        _line(console, f"{split}: {reason}", "red")
    if not found.splits:
        return
    console.print(_counts(found))
    for split, clips in found.splits.items():
        kinds = list(names_of(clips.faulty).values())
        for faulty in kinds[:_KINDS_SHOWN]:
            first = faulty[0]
            reason = first.reason.removeprefix(f"clip {first.name}: ")
            _line(console, f"  {split}: {len(faulty)} ×, e.g. {first.name}: {reason}", "red")
        others = sum(map(len, kinds[_KINDS_SHOWN:]))
        if others:
            _line(console, f"  {split}: {others} of other kinds, see faulty_clips.tsv", "red")
        for rule, count in clips.dropped.items():
            _line(console, f"  {split}: {count} dropped by rule: {rule}")
        twins = [f"{name}: {other}" for name, other in clips.twins.items()]
        lasting = [f"{name}: {times:.2f} times" for name, times in clips.lasting.items()]
        strays = [f"{name}: {', '.join(files)}" for name, files in clips.strays.items()]
        for what, names in (
            ("lack frames in between", list(clips.gaps)),
            ("last longer or shorter than annotated: is their frame rate right?", lasting),
            ("have the very frames of another clip", twins),
            ("have files beside their frames, which are left out", strays),
            ("hold odd values", _odd(clips)),
        ):
            if names:
                _line(console, f"  {split}: {len(names)} {what} (e.g. {names[0]})", "yellow")
        lacking = {name: count for name, count in clips.lacking.items() if name in used}
        if lacking:
            listed = ", ".join(f"{name} ({count})" for name, count in lacking.items())
            _line(console, f"  {split}: not observed, used by the layout, in so many clips: {listed}", "yellow")
    if not any(clips.clips for clips in found.splits.values()):
        return
    console.print(_durations(found))
    rates = sum((clips.fps for clips in found.splits.values()), Counter())
    console.print("frames/s as stored: " + ", ".join(f"{n} clips at {fps:g}" for fps, n in rates.most_common()))
    _show_text(found, console)
    _show_values(found, used, console)


def _line(console: Console, text: str, style: str | None = None) -> None:
    """What files and clips are called is no markup."""
    console.print(text, style=style, highlight=False, markup=False)


def _counts(found: CorpusSurvey) -> Table:
    table = Table("split", title="clips", title_justify="left")
    for column in ("published", "annotated", "used", "dropped", "skipped", "unreadable", ""):
        table.add_column(column, justify="right")
    published = PUBLISHED.get(found.name, {})
    for split, clips in found.splits.items():
        expected = published.get(split, "-")
        differs = expected[0].isdigit() and int(expected.replace(",", "")) != clips.annotated
        numbers = (clips.annotated, len(clips.clips), clips.dropped.total(), len(clips.skipped), len(clips.broken))
        table.add_row(split, expected, *(f"{n:,}" for n in numbers), "differs" if differs else "")
    return table


def _durations(found: CorpusSurvey) -> Table:
    table = Table("split", title="length", title_justify="left")
    columns = ("frames: least", "median", "mean", "most", "below 40", "above 400", "seconds: mean", "hours")
    for column in columns:
        table.add_column(column, justify="right")
    for split, clips in found.splits.items():
        if clips.frames:
            frames = np.array(clips.frames)
            table.add_row(
                split, str(frames.min()), f"{np.median(frames):.0f}", f"{frames.mean():.0f}", str(frames.max()),
                str((frames < 40).sum()), str((frames > 400).sum()), f"{np.mean(clips.seconds):.2f}",
                f"{sum(clips.seconds) / 3600:.2f}",
            )
    return table


def _show_text(found: CorpusSurvey, console: Console) -> None:
    text = found.text
    words = text.vocabulary
    lengths = [n for split in text.lengths.values() for n in split]
    if not lengths:
        return
    once = sum(count == 1 for count in words.values())
    console.print(
        f"text: {len(lengths):,} sentences, {text.distinct:,} different; {np.mean(lengths):.1f} words each, at most "
        f"{max(lengths)}; {len(words):,} different words, {once:,} of them once; {text.glosses:,} glosses; "
        f"{text.signers} signers", highlight=False,
    )
    for split, share in text.unseen.items():
        console.print(
            f"  {split}: {share:.1%} of its words are not in train; {text.leaked[split]} of its sentences are",
            highlight=False,
        )
    console.print("  most frequent: " + ", ".join(w for w, _ in words.most_common(12)), highlight=False, markup=False)


def _show_values(found: CorpusSurvey, used: set[str], console: Console) -> None:
    constant = found.constant(CONSTANT)
    nearly = dict(Counter(found.constant(NEARLY_CONSTANT)) - Counter(constant))
    for named, what in ((constant, "constant"), (nearly, "nearly constant")):
        for whose, chosen in (("used", used), ("unused", set(named) - used)):
            joints = {name: count for name, count in named.items() if name in chosen}
            if joints and (whose == "used" or named is constant):
                listed = ", ".join(f"{name} ({count})" for name, count in joints.items())
                style = "yellow" if whose == "used" else None
                console.print(f"{what} in train, {whose} by the layout: {listed}", style=style, highlight=False)


def _odd(clips: SplitSurvey) -> list[str]:
    return list(dict.fromkeys(name for name, _ in clips.notes))


def write(found: CorpusSurvey, folder: Path) -> None:
    """The lists, the numbers and the picture."""
    faulty = [(s, c.name, c.reason) for s, clips in found.splits.items() for c in clips.faulty]
    odd = [(s, *note) for s, clips in found.splits.items() for note in clips.notes]
    odd += [(s, c, f"{n} frames are missing in between") for s, v in found.splits.items() for c, n in v.gaps.items()]
    odd += [
        (s, c, f"its frames last {n:.2f} times as long as annotated") for s, v in found.splits.items() for c, n in v.lasting.items()
    ]
    odd += [(s, c, f"its frames are those of {n}") for s, v in found.splits.items() for c, n in v.twins.items()]
    odd += [(s, c, f"left out: {', '.join(n)}") for s, v in found.splits.items() for c, n in v.strays.items()]
    for name, rows in (("faulty_clips.tsv", faulty), ("odd_clips.tsv", odd)):
        with new_file(folder / name) as path:
            lines = ["split\tclip\treason", *("\t".join(" ".join(f.split()) for f in row) for row in rows)]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with new_file(folder / "report.json") as path:
        path.write_text(json.dumps(_report(found), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if any(clips.frames for clips in found.splits.values()):
        with new_file(folder / "overview.png") as path:
            plot(found, path)


def _report(found: CorpusSurvey) -> dict:
    splits = {
        split: {
            "annotated": clips.annotated, "used": len(clips.clips), "dropped": dict(clips.dropped),
            "skipped": len(clips.skipped), "unreadable": len(clips.broken), "odd": len(_odd(clips)),
            "lacking": dict(clips.lacking), "with_gaps": len(clips.gaps), "with_strays": len(clips.strays),
            "of_other_duration": len(clips.lasting), "with_twins": len(clips.twins), "frames": sum(clips.frames),
            "hours": sum(clips.seconds) / 3600,
            "fps": {f"{fps:g}": count for fps, count in clips.fps.items()},
            "faults": {kind: len(names) for kind, names in names_of(clips.faulty).items()},
        } for split, clips in found.splits.items()
    }
    text = found.text
    return {
        "corpus": found.name, "splits": splits, "absent": found.absent, "sentences": text.distinct,
        "words": len(text.vocabulary), "glosses": text.glosses, "signers": text.signers, "unseen": text.unseen,
        "leaked": text.leaked, "constant": found.constant(CONSTANT), "nearly_constant": found.constant(NEARLY_CONSTANT),
    }


def plot(found: CorpusSurvey, path: Path) -> None:
    """Durations, sentence lengths, word frequencies, and how much each joint moves, in one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic([["seconds", "words", "ranks"], ["joints", "joints", "joints"]])
    figure.suptitle(found.name)
    filled = {split: clips for split, clips in found.splits.items() if clips.frames}
    longest = max(max(found.text.lengths[split]) for split in filled)
    whole = np.arange(longest + 2) - 0.5  # one bar per number of words
    for key, label, bins, series in (
        ("seconds", "seconds per clip", 30, [clips.seconds for clips in filled.values()]),
        ("words", "words per sentence", whole, [found.text.lengths[split] for split in filled]),
    ):
        axes[key].hist(series, bins=bins, density=True, label=list(filled))
        axes[key].set(xlabel=label, ylabel="share of the split (density)")
        axes[key].legend()
    counts = sorted(found.text.vocabulary.values(), reverse=True)
    axes["ranks"].loglog(range(1, len(counts) + 1), counts, ".-")
    axes["ranks"].set(xlabel="rank of the word", ylabel="how often")
    if found.values is not None and found.values.frames:
        from soke.body.joints import SMPLX_JOINTS

        count = len(SMPLX_JOINTS)
        std = found.values.std[: 3 * count].reshape(count, 3)
        expression = found.values.std[3 * count :]
        for axis in range(3):
            axes["joints"].bar(np.arange(count) + 0.27 * (axis - 1), std[:, axis], 0.27, label="xyz"[axis])
        axes["joints"].bar(count + np.arange(len(expression)), expression, 0.6, color="grey", label="expression")
        names = [*SMPLX_JOINTS, *(f"expression {i + 1}" for i in range(len(expression)))]
        axes["joints"].set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axes["joints"].set(ylabel="standard deviation in train\n(radians; coefficients)", xlim=(-1, len(names)))
        axes["joints"].legend()
    else:
        axes["joints"].set_axis_off()
    figure.savefig(path, dpi=90)


def _sources(config: Config) -> Iterable[tuple[str, Corpus | UserError]]:
    """Every corpus and the lexicon, or what is the matter with it."""
    corpora = []
    for name in config.dataset.corpora:
        try:
            corpora.append(corpus_of(name, config.dataset))
            yield name, corpora[-1]
        except UserError as error:
            yield name, error
    if config.dataset.lexicon is not None:
        try:
            yield "lexicon", lexicon_of(config, corpora)
        except UserError as error:
            yield "lexicon", error


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="prepare.check_data", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cfg", required=True, help="configuration that names the corpora")
    parser.add_argument("--cfg_assets", help="a second file merged over it: your paths")
    parser.add_argument("--out", type=Path, help="folder of the report; default: check_data in the results of the run")
    parser.add_argument("--workers", type=cli.count, default=os.cpu_count(), help="processes; default: all cores")
    parser.add_argument("overrides", nargs="*", metavar="KEY.SUB=value")
    options = parser.parse_intermixed_args(arguments)
    config = load_config(options.cfg, options.cfg_assets, options.overrides)
    out = options.out or resolve(config.results) / config.name / "check_data"
    used = layout_of(config).covers
    console = Console(width=WIDTH)
    sound = True
    for name, corpus in _sources(config):
        if isinstance(corpus, UserError):
            console.rule(f"[bold]{name}")
            console.print(str(corpus), style="red", highlight=False, markup=False)
            sound = False
            continue
        found = survey(
            corpus, options.workers, lambda items, total: tqdm(items, total=total, desc=f"read {name}", unit="clip")
        )
        show(found, used, console)
        write(found, out / name)
        console.print(f"lists, numbers and picture: {out / name}", highlight=False, markup=False, soft_wrap=True)
        sound &= found.sound
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    cli.run(main)
