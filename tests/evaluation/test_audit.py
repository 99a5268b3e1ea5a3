"""An audit's findings on made-up values whose right answer is known, and once on real motions."""
from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.stats import pearsonr, spearmanr

from prepare import audit_metrics, synthetic_corpora
from soke.body.motion import Motion
from soke.errors import UserError
from soke.evaluation.audit.audit import audited, files_of, table_text
from soke.evaluation.audit.findings import disorder, of_kind, over_clips, over_systems
from soke.evaluation.audit.rows import AS_SIGNED, SECOND, audited_rows, chosen, even_spans, materials_of, row_of
from soke.evaluation.audit.values import SIGNS, Values, together, values_of
from soke.evaluation.damage.kinds import GRADES, KINDS
from soke.evaluation.outcome import Evaluation
from soke.evaluation.references import read_references
from soke.evaluation.rows import score_rows
from soke.report.tables import ResultTable
from tests.data.writing import LAYOUT
from tests.evaluation.helpers import Corpus, setting

CLIPS = 6
ROWS = [AS_SIGNED, SECOND, *(row_of(kind, grade) for kind in KINDS for grade in GRADES), "good", "fair", "poor", "mean pose"]


def values(**columns) -> Values:
    """Each column: row -> its value in every clip; other rows have 1."""
    table = {}
    for name, given in columns.items():
        table[name] = np.ones((len(ROWS), CLIPS)) + 0.001 * np.arange(CLIPS)
        for row, value in given.items():
            table[name][ROWS.index(row)] = value
    return Values(list(ROWS), [f"own/c{i}" for i in range(CLIPS)], table, {})


FULL = {AS_SIGNED: 0, "another sentence 3": 10}


def test_order_blindness_and_preference():
    """Of "jitter": in order; in the reverse order; the same everywhere; better than what was signed; the
    same but for rounding."""
    of = values(
        right=FULL | {"jitter 1": 1, "jitter 2": 2, "jitter 3": 3, SECOND: 2.5},
        reversed=FULL | {"jitter 1": 3, "jitter 2": 2, "jitter 3": 1, SECOND: 5},
        unseen=FULL | {"jitter 1": 0, "jitter 2": 0, "jitter 3": 0, SECOND: 0},
        faint=FULL | {"jitter 1": 0.1, "jitter 2": 0.2, "jitter 3": 0.3, SECOND: 0.3},
        praised=FULL | {"jitter 1": -1, "jitter 2": -2, "jitter 3": -3},
        rounded=FULL | {"jitter 1": 3e-6, "jitter 2": 2e-6, "jitter 3": 1e-6, SECOND: 5e-6},
    )
    right, turned, unseen, faint, praised, rounded = (of_kind(of, column, "jitter") for column in of.of_clips)
    assert right.tau == (1, 1, 1) and right.effect == pytest.approx(0.3) and right.preferred == (1, 1, 0)
    assert turned.tau[0] == -1 and turned.preferred == (1, 1, 1) and not (right.blind or turned.blind)
    for same in (unseen, rounded):
        assert same.tau[0] == 0 and same.blind and same.preferred == (0.5, 0.5, 0.5)
    assert faint.tau[0] == 1 and faint.blind and faint.preferred == (1, 1, 0.5)  # three of a hundred of another sentence
    assert praised.rewarded and praised.tau[0] == -1 and not right.rewarded


def test_the_order_of_some_clips_has_an_interval():
    """Four of six clips in order, two in the reverse order: tau is a third."""
    of = values(right=FULL)
    table = of.of_clips["right"]
    for grade in GRADES:
        table[ROWS.index(row_of("jitter", grade))] = [grade] * 4 + [4 - grade] * 2
    tau, low, high = of_kind(of, "right", "jitter").tau
    assert tau == pytest.approx(1 / 3) and -1 < low < tau < high <= 1
    table[ROWS.index("jitter 1"), 0] = np.nan
    assert of_kind(of, "right", "jitter").tau[0] == pytest.approx((3 - 2) / 5)


def test_correlations_are_those_of_scipy():
    random = np.random.default_rng(0)
    of = values(metric={}, **{SIGNS: {}})
    for column in of.of_clips:
        of.of_clips[column] = random.normal(size=(len(ROWS), CLIPS)).round(1)
    found, errors = of.of_clips["metric"], of.of_clips[SIGNS]
    clips = over_clips(of, "metric")
    assert clips.pearson[0] == pytest.approx(pearsonr(found[1:].ravel(), errors[1:].ravel())[0])
    assert clips.spearman[0] == pytest.approx(spearmanr(found[1:].ravel(), errors[1:].ravel())[0])
    assert clips.count == (len(ROWS) - 1) * CLIPS and clips.pearson[1] < clips.pearson[0] < clips.pearson[2]
    names = [SECOND, "good", "fair", "poor", "mean pose"]
    means = [table[[ROWS.index(name) for name in names]].mean(1) for table in (found, errors)]
    systems = over_systems(of, "metric", names)
    assert systems.spearman[0] == pytest.approx(spearmanr(*means)[0]) and systems.count == 5
    assert over_systems(of, "metric", names[:3]) is None
    del of.of_clips[SIGNS]
    assert over_clips(of, "metric") is None and over_systems(of, "metric", names) is None


def test_an_order_of_systems_is_found_or_not():
    of = values(right={AS_SIGNED: 0, "good": 0.5, "fair": 2, "mean pose": 3}, wrong={AS_SIGNED: 0, "good": 4, "fair": 2, "mean pose": 1})
    order = [AS_SIGNED, "good", "fair", "mean pose"]
    assert disorder(of, "right", order) == []
    assert disorder(of, "wrong", order) == [("good", "fair"), ("fair", "mean pose")]


def test_corpora_stand_together():
    """Clips side by side; a column or row that one of them lacks is unknown there."""
    first = Values([AS_SIGNED, "a"], ["x/1"], {"m": np.array([[0.0], [1.0]]), "n": np.array([[2.0], [3.0]])}, {"d": np.array([1.0, 3.0])})
    second = Values([AS_SIGNED], ["y/1", "y/2"], {"m": np.array([[5.0, 6.0]])}, {"d": np.array([3.0])})
    both = together([first, second])
    assert both.rows == [AS_SIGNED, "a"] and both.clips == ["x/1", "y/1", "y/2"]
    np.testing.assert_array_equal(both.of_clips["m"], [[0, 5, 6], [1, np.nan, np.nan]])
    np.testing.assert_array_equal(both.of_clips["n"], [[2, np.nan, np.nan], [3, np.nan, np.nan]])
    np.testing.assert_array_equal(both.of_rows["d"], [2, np.nan])


def full() -> Values:
    random = np.random.default_rng(1)
    of = values(metric=FULL, **{SIGNS: FULL})
    for column in of.of_clips:
        of.of_clips[column] = of.of_clips[column] + random.random((len(ROWS), CLIPS))
    of.of_rows["whole"] = np.arange(float(len(ROWS)))
    return of


def test_everything_is_written(tmp_path):
    """Every metric and kind in every file, and a picture that is not empty."""
    audit = audited(full(), [SECOND, "good", "fair", "poor", "mean pose"], [AS_SIGNED, "good", "mean pose"], ["a note"])
    files = files_of(audit)
    rows = list(csv.DictReader(io.StringIO(files["audit.csv"])))
    assert {(row["metric"], row["kind"]) for row in rows} == {(m, k) for m in ("metric", SIGNS, "whole") for k in KINDS}
    (cell,) = (row for row in rows if (row["metric"], row["kind"]) == ("whole", "mean pose"))
    assert cell["tau"] == "1.0" and cell["low"] == ""
    found = json.loads(files["audit.json"])
    assert set(found["metrics"]) == {"metric", SIGNS, "whole"} and len(found["kinds"]) == 17
    assert found["metrics"]["metric"]["oracle"]["systems"]["count"] == 5 and found["metrics"]["whole"]["oracle"]["clips"] is None
    assert "a note" in files["audit.txt"] and "DTW-MPJPE" in files["audit.txt"]
    assert "above 0 is right" in files["audit.txt"] and "0.14    0.03" in files["audit.txt"]
    files["audit.png"](tmp_path / "audit.png")
    assert np.asarray(Image.open(tmp_path / "audit.png").convert("RGB")).std() > 30


def test_without_an_oracle_or_a_second_signer_the_columns_say_so():
    of = full()
    keep = [i for i, row in enumerate(ROWS) if row != SECOND]
    bare = Values([ROWS[i] for i in keep], of.clips, {"metric": of.of_clips["metric"][keep]}, {})
    text = table_text(audited(bare, [SECOND, "good"], [AS_SIGNED, "mean pose"], []))
    assert "There is no oracle of these corpora" in text
    assert bare.row("metric", SECOND) is None and np.isnan(of_kind(bare, "metric", "jitter").preferred).all()


def test_signs_that_are_not_known_are_even_pieces():
    motion = Motion.rest(60, 20.0)  # 3 s
    assert even_spans(motion) == [slice(start, start + 10) for start in (3, 16, 29, 42)]
    assert even_spans(Motion.rest(8, 20.0)) == [slice(3, 8)]


def test_clips_are_chosen_evenly_and_too_few_are_refused(body):
    asked = setting(body, [Corpus(9)])
    references = read_references(asked.corpora[0], LAYOUT, asked)
    of = chosen(references, 4, 3)
    assert [clip.name for clip in of.clips] == [references.clips[i].name for i in (0, 2, 4, 6)]
    assert of.blocks == [slice(0, 3), slice(3, 4)] and of.total == 4 == len(of.motions) == len(of.places)
    with pytest.raises(UserError, match="own has 2 clips of this split that can be read, an audit needs 3"):
        asked = setting(body, [Corpus(2)])
        chosen(read_references(asked.corpora[0], LAYOUT, asked), 4, 3)


def test_clips_of_one_sentence_lend_each_other_their_signs(body):
    class OneSentence(Corpus):
        def clips(self, split):
            return [replace(clip, text="rain") for clip in super().clips(split)]

    asked = setting(body, [OneSentence(3)])
    references = read_references(asked.corpora[0], LAYOUT, asked)
    for material in materials_of(references, lambda clip, motion: even_spans(motion)):
        others = [m for m in references.motions if m is not references.motions[material.seed]]
        assert len(material.donors.motions) == sum(len(even_spans(motion)) for motion in others)


def test_every_score_of_the_house_is_asked(body):
    """Values are those of the table and of the clips, as how bad they are: errors, what should be high, ratios."""
    corpus = Corpus(3)
    asked = setting(body, [corpus])
    references = read_references(corpus, LAYOUT, asked)
    every = audited_rows(references, lambda clip, motion: even_spans(motion), lambda clip, motion: None)
    assert SECOND not in every and len(every) == 1 + 3 * len(KINDS)
    rows = {name: every[name] for name in (AS_SIGNED, "jitter 3", "cut off 2")}
    evaluation = Evaluation(ResultTable("Audit", split="test"))
    score_rows(references, rows, {"layout": LAYOUT.hash}, asked, evaluation)
    of = values_of(evaluation, corpus.name, list(rows))
    columns = {" ".join(filter(None, (*c.metric, unit))) for c in evaluation.table.cells for unit in c.score.values}
    assert columns == set(of.of_clips) | set(of.of_rows) and "diversity avg mm" in of.of_rows
    entries = {(e["row"], e["clip"]): e for e in evaluation.clips}
    for i, name in enumerate(clip.partition("/")[2] for clip in of.clips):
        assert of.row("DTW-JPE hand mm", "jitter 3")[i] == entries["jitter 3", name]["DTW-JPE hand mm"]
        ratio = entries["cut off 2", name]["length ratio"]
        assert of.row("length ratio", "cut off 2")[i] == pytest.approx(abs(np.log(ratio)))
    assert (of.row("DTW-JPE hand mm", AS_SIGNED) < 1e-3).all()


@pytest.mark.slow  # what it calls is tested above
@pytest.mark.parametrize("kind", ["rotations", "positions"])
def test_the_whole_way_at_toy_size(tmp_path, kind):
    data, skels = tmp_path / "data", kind == "positions"
    synthetic_corpora.main(["--out", str(data), "--size", "tiny", *["--skels"] * skels])
    if skels:
        others = ("gsl", "dsgs", "lsf_ch", "lis_ch", "lsa", "ksl", "tsl")
        more = [f"DATASET.CORPORA.asl.ROOT={data}/ASL", *(f"DATASET.CORPORA.{name}=null" for name in others), "TEST.SPLIT=train"]
        config = "configs/demo/signllm.yaml"
    else:
        more = [f"DATASET.CORPORA.how2sign.ROOT={data}/How2Sign", f"DATASET.LEXICON={data}/lexicon"]
        more += ["DATASET.CORPORA.csl=null", "DATASET.CORPORA.phoenix=null"]
        config = "configs/demo/soke.yaml"
    more += [f"FOLDER={tmp_path}/experiments", "METRIC.BACK_TRANSLATION=''"]
    audit_metrics.main(["--cfg", config, "--clips", "3", "--out", str(tmp_path / "audit"), *more])
    found = json.loads((tmp_path / "audit" / "audit.json").read_text(encoding="utf-8"))
    assert (tmp_path / "audit" / "audit.png").stat().st_size > 10000 and len(found["kinds"]) == 17 - skels
    signs = found["metrics"][SIGNS]["badness"]
    assert signs[AS_SIGNED] == signs[SECOND] == 0 and signs["mean pose"] == 100
    with pytest.raises(UserError, match="--clips is 2"):
        audit_metrics.main(["--cfg", config, "--clips", "2", *more])
