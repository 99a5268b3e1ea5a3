"""A table of a paper: measures across, for each corpus, and systems down, published ones and ours."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from soke.metrics.signature import Signature

CORPORA = {"how2sign": "How2Sign", "csl": "CSL-Daily", "phoenix": "Phoenix-2014T"}  # name -> heading
SPEED = "s/video"  # metric that timing.json gives
GENERATED = "generated"  # row of a results folder


@dataclass(frozen=True)
class Measure:
    """What a column shows.

    metric:           name in the signature
    title, label:     as printed: the metric, and below it the part
    parts:            parts in the signature, whose mean is shown
    unit:             of the value: "m", "mm", "percent", "s", "unit" or "ratio"
    decimals:         as printed
    higher_is_better: direction; None of what is right somewhere between, and never ranked
    """

    metric: str
    title: str
    label: str
    parts: tuple[str, ...]
    unit: str
    decimals: int = 2
    higher_is_better: bool | None = False

    @property
    def part(self) -> str | None:
        """As it stands in the signature of a value."""
        return "+".join(self.parts) or None


@dataclass(frozen=True)
class Column:
    """corpus: its name; "" where a table is not split by corpora"""

    corpus: str
    measure: Measure


@dataclass(frozen=True)
class Value:
    """A cell.

    number:     in the column's unit
    signature:  definition and conditions; of published scores, what is known of them
    conditions: what else must agree before two values may be ranked, for instance the ground truth, the split and the
                scored clips
    interval:   (low, high), 95 % of bootstrap resamples
    remark:     letter of the table's remark on this value
    clips:      number scored, of how many; None of published scores
    """

    number: float
    signature: Signature
    conditions: Mapping[str, str | None]
    interval: tuple[float, float] | None = None
    remark: str = ""
    clips: tuple[int, int] | None = None

    @property
    def incomplete(self) -> bool:
        """Whether fewer clips were scored than the split has."""
        return self.clips is not None and self.clips[0] < self.clips[1]


@dataclass(frozen=True)
class Row:
    """A system.

    bound: what no system is ranked against, for instance the ground truth
    """

    name: str
    published: bool
    values: Mapping[Column, Value]
    source: str
    bound: bool = False

    @property
    def label(self) -> str:
        return f"{self.name} (published)" if self.published else self.name


@dataclass(frozen=True)
class PaperTable:
    """A table of a paper.

    key:       its name on the command line
    measures:  columns of every corpus
    overall:   columns that belong to no corpus; where there are no others, each corpus is a row
    published: rows as printed
    system:    row of a results folder that is shown under the folder's name
    bounds:    rows of a results folder that are shown, too
    corpora:   the table's own, by any of their names; of a folder that has one, others are not shown
    kind:      metric that only systems of the table's kind have; those of others are shown where they are asked for
    remarks:   letter -> remark on single published values
    notes:     how the published numbers were made, as far as it is known
    """

    key: str
    title: str
    measures: tuple[Measure, ...]
    overall: tuple[Measure, ...]
    published: tuple[Row, ...]
    system: str = GENERATED
    bounds: tuple[str, ...] = ()
    corpora: tuple[str, ...] = ()
    kind: str = ""
    remarks: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def columns(self, others: Sequence[str] = ()) -> tuple[Column, ...]:
        """As printed; those of other corpora stand behind the paper's."""
        of_corpora = [Column(corpus, measure) for corpus in [*CORPORA, *others] for measure in self.measures]
        return (*of_corpora, *(Column("", measure) for measure in self.overall))
