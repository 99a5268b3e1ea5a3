"""Corpora of joint positions in text files: three counters, two scales, and lines that cannot be used."""
from __future__ import annotations

import pytest
import torch
from torch.utils.data import DataLoader

from soke.body.joints import SKELETON_50
from soke.body.layout import MotionLayout, PartSpec
from soke.body.motion import JointMotion
from soke.data.clip import ClipError
from soke.data.codes import CodeStore
from soke.data.corpora.lines import COUNTERS
from soke.data.corpora.skels import SkelsCorpus
from soke.data.dataset import MotionDataset, collate_motions
from soke.data.fingerprints import Watch
from soke.data.statistics import load_or_compute_statistics
from soke.errors import UserError
from soke.tokenizer.tokenizer import SignTokenizer
from tests.data.skels_writing import write_split
from tests.data.writing import LAYOUT, random_motion
from tests.tokenizer.helpers import ema


def random_positions(frames: int, seed: int = 0) -> JointMotion:
    positions = torch.randn(frames, 50, 3, generator=torch.Generator().manual_seed(seed))
    positions[:, 1] = 0  # the neck is the origin
    return JointMotion(positions, SKELETON_50, 25.0)


@pytest.mark.parametrize("counter", COUNTERS)
@pytest.mark.parametrize("scale", [3, 9])
def test_reading_is_the_inverse_of_writing(tmp_path, counter, scale):
    motions = [random_positions(frames, frames) for frames in (5, 42, 90)]
    write_split(tmp_path, "train", motions, counter, scale)
    if scale == 9:  # as Prompt2Sign's tools write zeros
        file = tmp_path / "train.skels"
        rows = [line.split() for line in file.read_text().splitlines()]
        file.write_text("".join(
            " ".join("0.01600" if i % 151 in (3, 4, 5) else v for i, v in enumerate(row)) + "\n"
            for row in rows
        ))
    corpus = SkelsCorpus(tmp_path)
    clips = corpus.clips("train")
    assert [c.name for c in clips] == ["clip-0", "clip-1", "clip-2"] and clips[1].text == 'satz "1", ja'
    for clip, motion in reversed(list(zip(clips, motions))):
        loaded = corpus.load(clip)
        assert loaded.joints == SKELETON_50 and loaded.fps == 25.0 and len(loaded) == len(motion)
        torch.testing.assert_close(loaded.positions, motion.positions, atol=scale * 0.6e-5, rtol=0)
        assert (loaded.positions[:, 1] == 0).all()


def test_skeleton_has_the_published_order():
    assert len(set(SKELETON_50)) == 50
    assert SKELETON_50[7:9] == ("left_wrist", "left_hand_root") and SKELETON_50[29] == "right_hand_root"


@pytest.mark.parametrize("blanks", ["  ", "\t", " " * 9])
def test_blanks_around_and_between_numbers_cut_none_off(tmp_path, blanks):
    motion = random_positions(6)
    write_split(tmp_path, "train", [motion] * 2)
    file = tmp_path / "train.skels"
    file.write_text("".join(f"{blanks}{line.replace(' ', blanks)}{blanks}\n" for line in file.read_text().splitlines()))
    corpus = SkelsCorpus(tmp_path)
    for clip in corpus.clips("train"):
        torch.testing.assert_close(corpus.load(clip).positions, motion.positions, atol=2e-5, rtol=0)


def test_val_is_dev_and_gloss_is_read(tmp_path):
    write_split(tmp_path, "val", [random_positions(5)])
    (tmp_path / "dev.gloss").write_text("REGEN\n")
    (clip,) = SkelsCorpus(tmp_path).clips("val")
    assert (clip.name, clip.gloss, clip.split) == ("clip-0", "REGEN", "val")


def test_lines_that_cannot_be_used(tmp_path):
    write_split(tmp_path, "train", [random_positions(6, i) for i in range(9)])
    file = tmp_path / "train.skels"
    lines = file.read_text().splitlines()
    lines[0] = ""
    lines[1] = lines[1][: len(lines[1]) // 2]
    lines[2] = lines[2].replace(lines[2].split()[5], "nan", 1)
    lines[3] = " ".join("0.5" if i % 151 == 150 else v for i, v in enumerate(lines[3].split()))
    lines[8] = lines[8].replace(" ", ",")
    file.write_text("\n".join(lines) + "\n")
    texts = (tmp_path / "train.text").read_text().splitlines()
    texts[4] = ""
    (tmp_path / "train.text").write_text("\n".join(texts) + "\n")
    names = (tmp_path / "train.files").read_text().splitlines()
    names[5], names[7] = names[6], ""
    (tmp_path / "train.files").write_text("\n".join(names) + "\n")
    corpus = SkelsCorpus(tmp_path)
    assert [(s.name, s.reason) for s in corpus.skipped("train")] == [
        ("clip-0", "its line of positions is empty"),
        ("clip-4", "its text is empty"),
        ("clip-6", "another clip of the split has the same name; the first is kept"),
        ("line 8", "it has no name"),
    ]
    half, nan, counter, good, commas = corpus.clips("train")
    assert len(corpus.load(good)) == 6
    faults = (
        (half, "no multiple of 151"), (nan, "NaN"), (counter, r"counter follows none of t/T, \(t"),
        (commas, "does not hold numbers that blanks separate"),
    )
    for clip, fault in faults:
        with pytest.raises(ClipError, match=rf"clip {clip.name}: .*{fault}") as raised:
            corpus.load(clip)
        assert len(str(raised.value)) < 400 + len(str(tmp_path))  # not the line itself


@pytest.mark.parametrize(("divisor", "apart"), [(3, None), (1, "3"), (9, "0.33")])
def test_positions_of_another_scale_are_named(tmp_path, caplog, divisor, apart):
    """Those that nobody has divided by 3, and by 9 without Prompt2Sign's constant for 0."""
    motion = random_positions(6)
    for side, x in (("left", -0.5), ("right", 0.5)):
        motion.positions[:, SKELETON_50.index(f"{side}_shoulder")] = torch.tensor([x, 0.1, 0.0])
    write_split(tmp_path, "train", [motion] * 2, divisor=divisor)
    corpus = SkelsCorpus(tmp_path, "mine")
    for clip in corpus.clips("train") * 2:
        corpus.load(clip)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == (apart is not None)
    if apart is not None:
        assert f"corpus mine: the shoulders of clip-0 are {apart} apart, where those of .skels files are about 1" in said[0]


def test_a_clip_of_another_scale_than_the_first_is_unusable(tmp_path):
    first, other = random_positions(6), random_positions(6, 1)
    for motion in (first, other):
        for side, x in (("left", -0.5), ("right", 0.5)):
            motion.positions[:, SKELETON_50.index(f"{side}_shoulder")] = torch.tensor([x, 0.1, 0.0])
    write_split(tmp_path, "train", [first, JointMotion(3 * other.positions, SKELETON_50, 25.0), other])
    corpus = SkelsCorpus(tmp_path)
    clips = corpus.clips("train")
    assert all(len(corpus.load(clip)) == 6 for clip in clips[::2])
    with pytest.raises(ClipError, match="clip clip-1: its shoulders in .*train.skels are 3 apart, those of the .*first clip 1;"):
        corpus.load(clips[1])


@pytest.mark.parametrize("fps", [0.04, 2500])
def test_rates_that_no_recording_has_are_refused(tmp_path, fps):
    write_split(tmp_path, "train", [random_positions(6)])
    with pytest.raises(UserError, match=rf"corpus skels: its frame rate of {fps:g} is none of a recording \(5 to 240"):
        SkelsCorpus(tmp_path, fps=fps)


def test_files_that_do_not_fit_or_are_missing(tmp_path):
    write_split(tmp_path, "train", [random_positions(6)] * 2)
    (tmp_path / "train.text").write_text("one line\n")
    with pytest.raises(UserError, match=r"differ in their number of lines: train.skels 2, train.text 1, train.files 2"):
        SkelsCorpus(tmp_path).clips("train")
    (tmp_path / "train.text").unlink()
    with pytest.raises(UserError, match=r"train.text cannot be read"):
        SkelsCorpus(tmp_path).clips("train")
    with pytest.raises(UserError, match="holds no dev.skels or val.skels"):
        SkelsCorpus(tmp_path).clips("val")
    with pytest.raises(UserError, match="none does not exist"):
        SkelsCorpus(tmp_path / "none")


@pytest.mark.parametrize("kind", ["text", "files", "gloss", "skels"])
def test_byte_order_marks_and_line_ends_are_no_letters(tmp_path, kind):
    motions = [random_positions(6, i) for i in range(2)]
    write_split(tmp_path, "train", motions)
    (tmp_path / "train.gloss").write_text("REGEN\nWIND\n")
    plain = SkelsCorpus(tmp_path)
    file = tmp_path / f"train.{kind}"
    expected = plain.clips("train"), [plain.load(clip).positions for clip in plain.clips("train")]
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    marked = SkelsCorpus(tmp_path)
    assert marked.clips("train") == expected[0]
    for clip, positions in zip(marked.clips("train"), expected[1]):
        assert torch.equal(marked.load(clip).positions, positions)


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [("text", "latin-1"), ("files", "latin-1"), ("gloss", "latin-1"), ("text", "utf-16"), ("files", "utf-16-le"),
     ("skels", "utf-16"), ("skels", "utf-16-be")],
)
def test_files_in_another_encoding_are_named(tmp_path, kind, encoding):
    write_split(tmp_path, "train", [random_positions(6)])
    file = tmp_path / f"train.{kind}"
    text = file.read_text() if kind == "skels" else "grün\n"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(UserError, match=rf"{file.name} is not in UTF-8: .*; save it in UTF-8"):
        SkelsCorpus(tmp_path).clips("train")


def test_codes_are_of_the_line_that_files_gives_to_a_clip(tmp_path):
    """Names in another order are of other positions, though nobody touches those."""
    write_split(tmp_path, "train", [random_positions(6), random_positions(6, seed=1), random_positions(6, seed=2)])
    store = CodeStore(tmp_path / "codes")

    def changed() -> list[bool]:
        corpus = SkelsCorpus(tmp_path)
        return [store.changed(clip, corpus.fingerprint(clip, Watch())) for clip in corpus.clips("train")]

    corpus = SkelsCorpus(tmp_path)
    for clip in corpus.clips("train"):
        store.write(clip, torch.zeros(1, 1, dtype=torch.int64), corpus.fingerprint(clip, Watch()))
    assert changed() == [False, False, False]
    (tmp_path / "train.files").write_text("train/clip-1\ntrain/clip-0\ntrain/clip-2\n")
    assert changed() == [True, True, False]
    older = Watch().look(tmp_path / "train.skels")  # codes of before do not tell lines
    assert corpus.fingerprint(corpus.clips("train")[0], Watch()).fits(older)


def test_no_usable_line_is_an_error(tmp_path):
    write_split(tmp_path, "train", [random_positions(6)] * 2)
    (tmp_path / "train.text").write_text("\n\n")
    corpus = SkelsCorpus(tmp_path)
    with pytest.raises(UserError, match="none of the 2 clips of split train can be used; the first, clip-0: its text"):
        corpus.clips("train")
    assert [s.name for s in corpus.skipped("train")] == ["clip-0", "clip-1"]


PARTS = [
    PartSpec("body", SKELETON_50[:8], rotation="position"),
    PartSpec("lhand", SKELETON_50[8:29], rotation="position"),
]


def test_positions_become_features_statistics_codes_and_positions(tmp_path):
    write_split(tmp_path, "train", [random_positions(44, i) for i in range(3)])
    layout = MotionLayout(PARTS)
    data = MotionDataset([SkelsCorpus(tmp_path)], "train", layout)
    sample = data[1]
    assert layout.sizes == {"body": 24, "lhand": 63}
    rebuilt = layout.motion(sample.features, sample.motion.fps)
    assert rebuilt.joints == SKELETON_50[:29]
    assert torch.equal(rebuilt.positions, sample.motion.positions[:, :29])
    statistics = load_or_compute_statistics(tmp_path / "statistics.json", data)
    settings = {part: ema(8, code_dim=8, width=8, depth=1) for part in layout.names}
    tokenizer = SignTokenizer(layout, statistics.mean, statistics.std, settings).eval()
    (batch,) = DataLoader(data, batch_size=3, num_workers=1, collate_fn=collate_motions)
    codes = tokenizer.encode(batch.features, batch.lengths).clips()
    assert [tuple(of_clip.shape) for of_clip in codes] == [(11, 2)] * 3
    assert torch.equal(tokenizer.encode_motion(batch.motions[1]), codes[1])
    decoded = tokenizer.decode_motion(codes[1], 25.0)
    assert isinstance(decoded, JointMotion) and decoded.positions.shape == (44, 29, 3)


def test_layouts_and_motions_of_different_kinds(tmp_path):
    write_split(tmp_path, "train", [random_positions(44)])
    with pytest.raises(UserError, match="skels does not fit the layout .*: the motion holds joint positions"):
        MotionDataset([SkelsCorpus(tmp_path)], "train", LAYOUT)[0]
    with pytest.raises(ValueError, match="the motion holds no joint positions"):
        MotionLayout(PARTS).features(random_motion(4))
    with pytest.raises(ValueError, match="the motion has no joint tail"):
        MotionLayout([PartSpec("all", ("neck", "tail"), rotation="position")]).features(random_positions(4))
    with pytest.raises(ValueError, match="positions and rotations cannot be mixed"):
        MotionLayout([PARTS[0], PartSpec("head", ("head",))])
    with pytest.raises(ValueError, match="a part of positions has neither jaw, expression, eyelids nor mirrored part"):
        MotionLayout([PartSpec("body", ("neck",), rotation="position", expression=10)])
