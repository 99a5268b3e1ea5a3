from __future__ import annotations

import logging
import pickle
import unicodedata

import numpy as np
import pytest
import torch

from soke.data.clip import Clip, ClipError
from soke.data.corpora.csl_daily import CSLDaily
from soke.data.corpora.how2sign import _BAD, How2Sign
from soke.data.corpora.lexicon import Lexicon
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.storage.frames import frame_dicts, frames_from_motion, motion_from_frames
from soke.errors import UserError
from tests.data.writing import (
    random_motion,
    write_entries,
    write_frames,
    write_how2sign,
    write_how2sign_frames,
    write_phoenix,
)

BAD = "0DU7wWLK-QU_0-8-rgb_front"


def test_frames_are_the_inverse_of_motion():
    motion = random_motion(5)
    back = motion_from_frames(frames_from_motion(motion), motion.fps)
    for name in ("rotations", "expression", "betas"):
        assert torch.equal(getattr(back, name), getattr(motion, name))
    columns = np.concatenate(list(frame_dicts(motion)[2].values()))
    np.testing.assert_array_equal(columns, frames_from_motion(motion)[2])
    assert torch.equal(motion.rotations[2, 21], torch.from_numpy(columns[63:66]))  # right wrist ends the body pose
    with pytest.raises(ValueError, match="179"):
        motion_from_frames(np.zeros((2, 133)), 25.0)


# --- How2Sign


def test_how2sign_tab_separated_without_fps(tmp_path, caplog):
    rows = [
        ("a", 0, 6, "Hi!"),
        ("b", 1, 2.5, 'He said "go", then left'),
        ("c", 0, 1, '"You know what?'),
        ("d", 0, 1, '"A ""b"""'),
    ]
    path = write_how2sign(tmp_path, "test", rows)
    for name, *_ in rows:
        write_how2sign_frames(tmp_path, "test", name, random_motion(5))
    corpus = How2Sign(tmp_path)
    clips = corpus.clips("test")
    assert [c.text for c in clips] == ["Hi!", 'He said "go", then left', '"You know what?', 'A "b"']
    assert {(c.fps, c.language, c.corpus, c.split) for c in clips} == {(25.0, "ASL", "how2sign", "test")}
    corpus.clips("test")
    warnings = [r.getMessage() for r in caplog.records if "no column fps" in r.getMessage()]
    assert warnings == [f"{path} has no column fps: 25 frames/s is taken for all clips"]


def test_how2sign_comma_separated_with_fps(tmp_path, caplog):
    write_how2sign(tmp_path, "val", [("a", 0, 6, 'Say "a, b"')], fps=29.97)
    write_how2sign_frames(tmp_path, "val", "a", random_motion(30))
    (clip,) = How2Sign(tmp_path).clips("val")
    assert (clip.text, clip.fps) == ('Say "a, b"', 29.97)
    assert not caplog.records


def test_how2sign_prefers_the_table_with_fps(tmp_path):
    write_how2sign(tmp_path, "val", [("a", 0, 6, "with")], fps=24.0)
    (tmp_path / "val/re_aligned/how2sign_realigned_val.csv").write_text("SENTENCE_NAME\tSENTENCE\n")
    write_how2sign_frames(tmp_path, "val", "a", random_motion(5))
    assert How2Sign(tmp_path).clips("val")[0].text == "with"


@pytest.mark.parametrize(("fps", "picked", "working"), [(48.0, [0, 2, 4, 6, 8, 10], 24.0), (20.0, range(12), 20.0)])
def test_how2sign_frames_in_numeric_order_at_24(tmp_path, fps, picked, working):
    motion = random_motion(12)  # files …_10_… and …_2_… : alphabetical order would be wrong
    write_how2sign(tmp_path, "train", [("a", 0, 0.4, "x")], fps=fps)
    write_how2sign_frames(tmp_path, "train", "a", motion)
    corpus = How2Sign(tmp_path)
    loaded = corpus.load(corpus.clips("train")[0])
    assert loaded.fps == working
    assert torch.equal(loaded.rotations, motion.rotations[list(picked)])


def test_how2sign_rules(tmp_path, caplog):
    assert len(_BAD) == 31
    caplog.set_level(logging.INFO)
    rows = [(BAD, 0, 5, "bad"), ("long", 1, 31, "x"), ("short", 0, 1, "x"), ("kept", 0, 29.9, "x"), ("four", 0, 1, "x")]
    write_how2sign(tmp_path, "train", rows, fps=24.0)
    for name, frames in [(BAD, 9), ("long", 9), ("short", 3), ("kept", 9), ("four", 4)]:
        write_how2sign_frames(tmp_path, "train", name, random_motion(frames))
    corpus = How2Sign(tmp_path)
    assert [c.name for c in corpus.clips("train")] == ["kept", "four"]
    assert corpus.skipped("train") == []  # rules are no faults
    (message,) = [r.getMessage() for r in caplog.records]
    assert all(part in message for part in ("1 known to be unusable", "1 of 30 s or more", "1 of fewer than 4 frames"))


def test_how2sign_faulty_rows_are_skipped_and_listed(tmp_path):
    rows = [("good", 0, 5, "x"), ("when", "soon", 5, "x"), ("mute", 0, 5, " ")]
    path = write_how2sign(tmp_path, "train", rows, fps=24.0)
    with path.open("a") as file:
        file.write("v,v,s,cut,0\nv,v,s,still,0,1,x,0\n")
    for name in ("good", "when", "mute", "cut", "still"):
        write_how2sign_frames(tmp_path, "train", name, random_motion(5))
    corpus = How2Sign(tmp_path)
    assert [c.name for c in corpus.clips("train")] == ["good"]
    reasons = {s.name: s.reason for s in corpus.skipped("train")}
    assert reasons.keys() == {"when", "mute", "still", f"{path.name} line 5"}
    assert "START_REALIGNED 'soon'" in reasons["when"] and "fps '0'" in reasons["still"]
    assert reasons[f"{path.name} line 5"] == "has 5 fields, expected 8"
    assert "empty" in reasons["mute"]


@pytest.mark.parametrize("fps", ["90000", "1000", "0.033", "0", "-25", "inf", "4.9", "241"])
def test_rates_that_no_recording_has_are_faults_of_their_clips(tmp_path, fps):
    path = write_how2sign(tmp_path, "train", [("a", 0, 1, "x"), ("b", 0, 1, "y")], fps=24.0)
    path.write_text(path.read_text().replace('"y",24.0', f'"y",{fps}'))
    for name in "ab":
        write_how2sign_frames(tmp_path, "train", name, random_motion(24))
    corpus = How2Sign(tmp_path)
    assert [c.name for c in corpus.clips("train")] == ["a"]
    (skipped,) = corpus.skipped("train")
    assert skipped.name == "b" and f"{path.name} has fps '{fps}', which is no" in skipped.reason


def test_rates_of_recordings_are_read(tmp_path):
    for fps in (5, 23.976, 60, 240):
        root = tmp_path / str(fps)
        write_how2sign(root, "train", [("a", 0, 24 / fps, "x")], fps=fps)
        write_how2sign_frames(root, "train", "a", random_motion(24))
        (clip,) = How2Sign(root).clips("train")
        assert clip.fps == fps and len(How2Sign(root).load(clip)) == (24 if fps < 24 else int(24 * 24 / fps))


@pytest.mark.parametrize(("start", "end"), [(7, 5), (5, 5)])
def test_a_clip_that_ends_before_it_begins(tmp_path, start, end):
    write_how2sign(tmp_path, "train", [("a", 0, 1, "x"), ("b", start, end, "x")], fps=24.0)
    for name in "ab":
        write_how2sign_frames(tmp_path, "train", name, random_motion(24))
    (skipped,) = How2Sign(tmp_path).skipped("train")
    assert skipped.name == "b" and skipped.reason.endswith(
        f"START_REALIGNED {start} and END_REALIGNED {end}: it ends before it begins"
    )


@pytest.mark.parametrize(
    ("seconds", "frames", "kept", "is_good"),
    [
        (4.0, 96, 96, True),
        (4.0, 27, 27, True),  # 1.12 s are 0.4 of 4 s but for half a second
        (4.0, 25, 25, False),
        (4.0, 204, 204, True),  # 8.5 s
        (4.0, 206, 206, False),
        (4.0, 48, 30, True),  # the gaps between frames count as frames
        (0.1, 16, 16, True),  # 0.67 s
        (0.1, 18, 18, False),
        (29.0, 240, 240, False),
    ],
)
def test_frames_that_contradict_the_annotated_times(tmp_path, seconds, frames, kept, is_good):
    write_how2sign(tmp_path, "train", [("a", 100, 100 + seconds, "x")], fps=24.0)
    write_how2sign_frames(tmp_path, "train", "a", random_motion(frames))
    for number in range(1, 1 + frames - kept):
        (tmp_path / f"train/poses/a/a_{number}_3D.pkl").unlink()
    corpus = How2Sign(tmp_path)
    (clip,) = corpus.clips("train")
    if is_good:
        assert len(corpus.load(clip)) == kept
    else:
        what = rf"clip a: the {frames} frames of .* last {frames / 24:.2f} s at 24 frames/s, .* says {seconds:.2f} s"
        with pytest.raises(ClipError, match=what):
            corpus.load(clip)


def test_frames_that_contradict_the_annotated_number(tmp_path):
    write_phoenix(tmp_path, {"a": 50})
    write_entries(tmp_path / "phoenix14t.dev", [{"name": "dev/a", "text": "x", "num_frames": 200}])
    corpus = Phoenix14T(tmp_path)
    with pytest.raises(ClipError, match="clip dev/a: the 50 frames of .* last 2.00 s .* says 8.00 s"):
        corpus.load(corpus.clips("val")[0])


def test_times_in_milliseconds_are_an_error_that_says_so(tmp_path):
    write_how2sign(tmp_path, "train", [("a", 260, 6790, "x"), ("b", 7270, 20300, "y")], fps=24.0)
    for name in "ab":
        write_how2sign_frames(tmp_path, "train", name, random_motion(24))
    corpus = How2Sign(tmp_path)
    for listed in (corpus.clips, corpus.unpacked):
        with pytest.raises(UserError) as raised:
            listed("train")
        what = "none of the 2 clips of split train can be used; 2 are dropped by the rule: of 30 s or more"
        assert what in str(raised.value) and "are they milliseconds" in str(raised.value)
    assert corpus.dropped("train") == {"of 30 s or more": 2} and corpus.skipped("train") == []


def test_a_split_emptied_by_rules_and_faults_together_is_an_error(tmp_path):
    write_phoenix(tmp_path, {"a": 3, "b": 50})
    (tmp_path / "dev/b").rename(tmp_path / "gone")
    rules = "1 are dropped by the rule: of fewer than 4 frames .*; 1 are faulty; the first, dev/b: .* not exist"
    with pytest.raises(UserError, match=f"none of the 2 clips of split val can be used; {rules}"):
        Phoenix14T(tmp_path).clips("val")


def test_an_annotation_without_clips_is_an_error(tmp_path):
    path = write_how2sign(tmp_path, "train", [], fps=24.0)
    with pytest.raises(UserError, match=f"split train has no clips; .*{path.name} names none"):
        How2Sign(tmp_path).clips("train")


def test_how2sign_table_without_a_column(tmp_path):
    path = write_how2sign(tmp_path, "train", [])
    path.write_text("SENTENCE_NAME\tSENTENCE\n")
    with pytest.raises(UserError, match=rf"{path.name} lacks the columns START_REALIGNED, END_REALIGNED"):
        How2Sign(tmp_path).clips("train")


# --- CSL-Daily and Phoenix-2014T


@pytest.mark.parametrize("file", ["csl_clean.val", "csl-daily.dev"])
def test_csl_daily(tmp_path, file):
    entry = {"name": "S000020_P0000_T00", "signer": 0, "gloss": "他 今天 年龄 4", "text": "他今年四岁。",
             "sign": torch.zeros(1, 1), "num_frames": 12}
    write_entries(tmp_path / file, [entry])
    motion = random_motion(12)
    write_frames(tmp_path / "poses" / entry["name"], motion)
    corpus = CSLDaily(tmp_path)
    (clip,) = corpus.clips("val")
    assert (clip.name, clip.corpus, clip.language, clip.split) == (entry["name"], "csl", "CSL", "val")
    assert (clip.text, clip.gloss, clip.signer, clip.fps) == ("他今年四岁。", "他 今天 年龄 4", "0", 30.0)
    loaded = corpus.load(clip)
    assert loaded.fps == 30.0 and torch.equal(loaded.rotations, motion.rotations)
    assert torch.equal(loaded.betas, motion.betas)


def test_phoenix_val_is_dev(tmp_path):
    write_phoenix(tmp_path, {"a-1": 11, "a-2": 4})
    corpus = Phoenix14T(tmp_path)
    first, second = corpus.clips("val")
    assert (first.name, first.corpus, first.language, first.split) == ("dev/a-1", "phoenix", "DGS", "val")
    assert (first.text, first.gloss, first.signer, first.fps) == ("es regnet a-1 .", "REGEN KOMMEN", "Signer08", 25.0)
    assert torch.equal(corpus.load(second).expression, random_motion(4, seed=1).expression)


def test_frame_numbers_without_padding_are_in_order_of_time(tmp_path):
    write_phoenix(tmp_path, {"a": 12})
    for path in sorted((tmp_path / "dev/a").iterdir()):
        path.rename(path.with_name(f"images{int(path.stem[6:])}.pkl"))
    corpus = Phoenix14T(tmp_path)
    assert torch.equal(corpus.load(corpus.clips("val")[0]).rotations, random_motion(12).rotations)


@pytest.mark.parametrize(
    ("content", "fault"),
    [({"a": 1}, "holds a dict"), ([{"name": "a", "text": "b"}, "c"], "entry 1 is a str")],
)
def test_annotations_of_another_form(tmp_path, content, fault):
    write_entries(tmp_path / "phoenix14t.dev", content)
    with pytest.raises(UserError, match=rf"phoenix14t\.dev.* {fault}"):
        Phoenix14T(tmp_path).clips("val")


def test_pickled_entries_without_name_or_text_or_with_a_second_name(tmp_path):
    write_phoenix(tmp_path, {"a": 5, "b": 5, "c": 5})
    names = [{"name": "dev/a", "text": "x"}, {"name": "dev/b"}, {"text": "y"}, {"name": "dev/a", "text": "z"},
             {"name": "dev/c", "text": None}, {"name": "../c", "text": "x"}]
    write_entries(tmp_path / "phoenix14t.dev", names)
    corpus = Phoenix14T(tmp_path)
    assert [(c.name, c.text) for c in corpus.clips("val")] == [("dev/a", "x")]
    reasons = [(s.name, s.reason) for s in corpus.skipped("val")]
    assert reasons == [
        ("phoenix14t.dev entry 2", "has no name"),
        ("dev/c", "clip dev/c: its text is of type NoneType, it must be text"),
        ("dev/b", "its text is empty"),
        ("dev/a", "another clip of the split has the same name; the first is kept"),
        ("../c", "the name '../c' leads out of the folder"),
    ]


@pytest.mark.parametrize(
    ("entry", "text", "gloss"),
    [
        ({"text": ["es", "regnet", "."]}, "es regnet .", None),
        ({"text": ("他", "今年", "四岁", "。"), "gloss": ["他", "今天", "4"]}, "他今年四岁。", "他 今天 4"),
        ({"text": "u\u0308ber  nacht ", "gloss": " U\u0308BER\tNACHT"}, "\u00fcber nacht", "\u00dcBER NACHT"),
        ({"text": "regen", "gloss": None}, "regen", None),
        ({"text": "regen", "gloss": []}, "regen", ""),
    ],
)
def test_pickled_texts_and_glosses_that_are_lists_are_joined(tmp_path, entry, text, gloss):
    write_phoenix(tmp_path, {"a": 5})
    write_entries(tmp_path / "phoenix14t.dev", [{"name": "dev/a", **entry}])
    (clip,) = Phoenix14T(tmp_path).clips("val")
    assert (clip.text, clip.gloss) == (text, gloss)


@pytest.mark.parametrize(("key", "value", "kind"), [
    ("text", None, "NoneType"), ("text", 4, "int"), ("text", b"regen", "bytes"), ("text", {"de": "regen"}, "dict"),
    ("text", ["regen", 4], "list"), ("text", 0, "int"), ("gloss", 4.0, "float"), ("gloss", b"", "bytes"),
    ("gloss", [["REGEN"]], "list"), ("gloss", False, "bool"),
])
def test_pickled_texts_and_glosses_that_are_none_are_skipped_with_their_type(tmp_path, key, value, kind):
    write_phoenix(tmp_path, {"a": 5, "b": 5})
    entries = [{"name": "dev/a", "text": "regen", key: value}, {"name": "dev/b", "text": "schnee"}]
    write_entries(tmp_path / "phoenix14t.dev", entries)
    corpus = Phoenix14T(tmp_path)
    assert [clip.text for clip in corpus.clips("val")] == ["schnee"]
    (skipped,) = corpus.skipped("val")
    assert (skipped.name, skipped.reason) == ("dev/a", f"clip dev/a: its {key} is of type {kind}, it must be text")


def test_a_clip_keeps_how_its_frames_are_spelled(tmp_path):
    frames = tmp_path / "u\u0308ber"
    clip = Clip("u\u0308ber", "own", "train", "DGS", "u\u0308ber", frames, 25.0)
    assert (clip.name, clip.text, clip.frames) == ("u\u0308ber", "\u00fcber", frames)
    with pytest.raises(ClipError, match="clip a: its text is of type int"):
        Clip("a", "own", "train", "DGS", 4, frames, 25.0)


def test_a_table_with_another_delimiter(tmp_path):
    path = write_how2sign(tmp_path, "train", [("a", 0, 6, "x")])
    path.write_text(path.read_text().replace("\t", ";"))
    with pytest.raises(UserError, match=r"lacks the columns SENTENCE_NAME, .* VIDEO_ID;VIDEO_NAME.*tabs or commas"):
        How2Sign(tmp_path).clips("train")


def test_annotations_cut_short(tmp_path):
    write_phoenix(tmp_path, {"a": 5})
    path = tmp_path / "phoenix14t.dev"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"phoenix14t\.dev is cut off"):
        Phoenix14T(tmp_path).clips("val")


# --- what is missing


@pytest.mark.parametrize("corpus", [How2Sign, CSLDaily, Phoenix14T, Lexicon])
def test_missing_folder_and_annotation(tmp_path, corpus):
    with pytest.raises(UserError, match=rf"corpus {corpus.name}: folder .*gone does not exist; set `root` to"):
        corpus(tmp_path / "gone")
    with pytest.raises(UserError, match=rf"corpus {corpus.name}: {tmp_path}.* does not exist"):
        corpus(tmp_path).clips("train")
    with pytest.raises(UserError, match="no split dev; the splits are train, val, test"):
        corpus(tmp_path).clips("dev")


def test_clips_without_frames_are_skipped_counted_and_listed(tmp_path, caplog):
    write_phoenix(tmp_path, {"a": 5, "b": 5, "c": 5, "d": 5})
    for name in ("b", "c"):
        for path in (tmp_path / "dev" / name).iterdir():
            path.unlink()
    (tmp_path / "dev" / "c").rmdir()
    (tmp_path / "dev" / "b" / "._images0001.pkl").touch()
    corpus = Phoenix14T(tmp_path)
    assert [c.name for c in corpus.clips("val")] == ["dev/a", "dev/d"]
    assert [s.name for s in corpus.skipped("val")] == ["dev/b", "dev/c"]
    assert "no frame files" in corpus.skipped("val")[0].reason and "not exist" in corpus.skipped("val")[1].reason
    (message,) = [r.getMessage() for r in caplog.records]
    assert "2 of 4 clips skipped: dev/b, dev/c" in message


def test_no_clip_with_frames_is_an_error(tmp_path):
    write_phoenix(tmp_path, {"a": 5})
    (tmp_path / "dev").rename(tmp_path / "moved")
    with pytest.raises(UserError, match="none of the 1 clips of split val can be used; the first, dev/a: .* not exist"):
        Phoenix14T(tmp_path).clips("val")


# --- frames that cannot be used


def with_value(key, position, value):
    def change(frame):
        frame[key][position] = value
        return pickle.dumps(frame)

    return change


def with_key(key, value):
    return lambda frame: pickle.dumps({**frame, key: value})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (with_value("smplx_lhand_pose", 44, np.nan), r"images0003\.pkl holds nan in smplx_lhand_pose$"),
        (with_value("smplx_expr", 0, np.inf), r"images0003\.pkl holds inf in smplx_expr$"),
        (lambda f: pickle.dumps(f)[:-20], r"images0003\.pkl is cut off"),
        (lambda f: b"", r"images0003\.pkl is empty"),
        (lambda f: pickle.dumps({k: v for k, v in f.items() if "jaw" not in k}), r"3\.pkl lacks smplx_jaw_pose$"),
        (with_key("smplx_body_pose", np.zeros(62)), r"holds smplx_body_pose of shape \[62\], expected \[63\]"),
        (with_key("smplx_body_pose", np.zeros((1, 63))), r"holds smplx_body_pose of shape \[1, 63\], expected \[63\]"),
        (with_key("smplx_root_pose", None), r"holds smplx_root_pose of shape \[\], expected \[3\]"),
        (with_key("smplx_root_pose", ["a", "b", "c"]), r"images0003\.pkl holds something other than numbers"),
        (lambda f: pickle.dumps([1, 2]), r"images0003\.pkl holds a list, not the dict of a frame"),
    ],
)
def test_bad_frame_names_clip_file_and_cause(tmp_path, change, fault):
    write_phoenix(tmp_path, {"a": 6})
    path = tmp_path / "dev/a/images0003.pkl"
    path.write_bytes(change(pickle.loads(path.read_bytes())))
    corpus = Phoenix14T(tmp_path)
    with pytest.raises(ClipError, match=rf"^clip dev/a: .*{fault}"):
        corpus.load(corpus.clips("val")[0])


def test_frames_that_vanish_after_listing(tmp_path):
    write_phoenix(tmp_path, {"a": 6})
    corpus = Phoenix14T(tmp_path)
    (clip,) = corpus.clips("val")
    files = sorted(clip.frames.iterdir())
    for path in files[3:]:
        path.unlink()
    with pytest.raises(ClipError, match="holds 3 frame files, at least 4"):
        corpus.load(clip)
    for path in files[:3]:
        path.unlink()
    clip.frames.rmdir()
    with pytest.raises(ClipError, match="clip dev/a: .* cannot be listed"):
        corpus.load(clip)


def tensors(frame):
    return {key: torch.from_numpy(value) for key, value in frame.items()}


@pytest.mark.parametrize(
    ("write", "fault"),
    [
        (lambda f, path: path.write_bytes(pickle.dumps(tensors(f))), "holds torch tensors in smplx_root_pose, .*numpy"),
        (lambda f, path: path.write_bytes(pickle.dumps({**f, "smplx_expr": torch.nn.Parameter(torch.zeros(10))})),
         "holds torch tensors in smplx_expr; write it anew with numpy arrays"),
        (lambda f, path: path.write_bytes(pickle.dumps(torch.zeros(179))), "holds a torch tensor, not the dict"),
        (lambda f, path: torch.save(f, path), r"was written by torch\.save.*torch\.load.*numpy.*pickle\.dump"),
        (lambda f, path: torch.save(tensors(f), path, _use_new_zipfile_serialization=False), "was written by torch"),
    ],
)
def test_frames_of_torch_say_so(tmp_path, write, fault):
    write_phoenix(tmp_path, {"a": 6})
    path = tmp_path / "dev/a/images0003.pkl"
    write(pickle.loads(path.read_bytes()), path)
    corpus = Phoenix14T(tmp_path)
    with pytest.raises(ClipError, match=rf"^clip dev/a: .*images0003\.pkl {fault}"):
        corpus.load(corpus.clips("val")[0])


def test_copies_and_previews_beside_the_frames_are_left_out_and_named(tmp_path, caplog):
    write_phoenix(tmp_path, {"a": 24})
    folder, corpus = tmp_path / "dev/a", Phoenix14T(tmp_path)
    for stray in ("images0003 (1).pkl", "images0003_old.pkl", "thumbs.pkl", "._images0004.pkl"):
        (folder / stray).write_bytes((folder / "images0009.pkl").read_bytes())
    (clip,) = corpus.clips("val")
    for _ in range(2):
        assert torch.equal(corpus.load(clip).rotations, random_motion(24).rotations)
    strays = ["images0003 (1).pkl", "images0003_old.pkl", "thumbs.pkl"]
    assert corpus.strays(clip) == strays
    (message,) = [r.getMessage() for r in caplog.records]
    assert ", ".join(strays) in message and str(folder) in message
    for number in (4, 5):
        (folder / f"images{number:04}.pkl").unlink()
    assert corpus.missing_frames(clip) == 2, "strays leave the gaps to be seen"
    for number in range(2, 19):
        (folder / f"images{number:04}.pkl").unlink(missing_ok=True)
    with pytest.raises(ClipError, match="lacks 17 of the 24 frames from images0000.pkl to images0023.pkl"):
        corpus.load(clip)


@pytest.mark.parametrize("step", [2, 3])
def test_one_frame_in_two_is_no_clip_with_gaps(tmp_path, step):
    """Taken for neighbours, the frames that are there would be signed twice as fast."""
    write_phoenix(tmp_path, {"a": 60})
    corpus = Phoenix14T(tmp_path)
    for number in set(range(60)).difference(range(1, 60, step)):
        (tmp_path / f"dev/a/images{number:04}.pkl").unlink()
    what = rf"clip dev/a: .* holds one frame in {step} \(images0001.pkl, .*\), which at 25 frames/s are {step} times as fast"
    with pytest.raises(ClipError, match=what):
        corpus.load(corpus.clips("val")[0])
    (tmp_path / "dev/a/images0000.pkl").write_bytes((tmp_path / "dev/a/images0001.pkl").read_bytes())
    assert step > 2 or len(corpus.load(corpus.clips("val")[0])) == 31, "gaps without a pattern are gaps"


def test_frames_in_degrees_are_a_fault(tmp_path):
    """Normalised, they would be learnt like any others."""
    write_phoenix(tmp_path, {"a": 12, "b": 12})
    for path in (tmp_path / "dev/a").iterdir():
        frame = {key: np.degrees(value) if "pose" in key else value for key, value in pickle.loads(path.read_bytes()).items()}
        path.write_bytes(pickle.dumps(frame))
    corpus = Phoenix14T(tmp_path)
    in_degrees, other = corpus.clips("val")
    with pytest.raises(ClipError, match=r"^clip dev/a: .*/dev/a: half of its joints turn by more than .* if these are degrees"):
        corpus.load(in_degrees)
    assert len(corpus.load(other)) == 12


def test_two_files_of_one_frame_are_a_fault(tmp_path):
    write_phoenix(tmp_path, {"a": 12})
    folder, corpus = tmp_path / "dev/a", Phoenix14T(tmp_path)
    (folder / "images3.pkl").write_bytes((folder / "images0009.pkl").read_bytes())
    with pytest.raises(ClipError, match="clip dev/a: .* holds images0003.pkl and images3.pkl, two files of frame 3"):
        corpus.load(corpus.clips("val")[0])


@pytest.mark.parametrize("annotated", ["NFC", "NFD"])
@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
def test_folders_are_found_in_either_unicode_spelling(tmp_path, annotated, on_disk):
    name = "dev/Schöne_Grüße/ärger-1"
    write_entries(tmp_path / "phoenix14t.dev", [{"name": unicodedata.normalize(annotated, name), "text": "x"}])
    write_frames(tmp_path / unicodedata.normalize(on_disk, name), random_motion(12))
    corpus = Phoenix14T(tmp_path)
    (clip,) = corpus.clips("val")
    assert clip.name == unicodedata.normalize(annotated, name) and len(corpus.load(clip)) == 12


# --- splits that overlap


@pytest.mark.parametrize("held_out", ["val", "test"])
def test_a_clip_of_val_or_test_is_not_trained_on(tmp_path, held_out):
    names = {"train": "abc", held_out: "cd"}
    for split, of_split in names.items():
        write_entries(tmp_path / f"csl_clean.{split}", [{"name": name, "text": "你好"} for name in of_split])
    for name in "abcd":
        write_frames(tmp_path / "poses" / name, random_motion(12))
    corpus = CSLDaily(tmp_path)
    for listing in (corpus.described("train"), corpus.unpacked("train")):
        assert [clip.name for clip in listing.clips] == ["a", "b"]
    assert [clip.name for clip in corpus.clips("train")] == ["a", "b"]
    assert [(s.name, s.reason) for s in corpus.skipped("train")] == [("c", f"the {held_out} split has it, too")]
    assert [clip.name for clip in corpus.clips(held_out)] == ["c", "d"] and corpus.skipped(held_out) == []


def test_names_may_recur_in_splits_of_folders_of_their_own(tmp_path):
    for split in ("train", "val", "test"):
        write_how2sign(tmp_path, split, [("a", 0, 1, "x")], fps=24.0)
        write_how2sign_frames(tmp_path, split, "a", random_motion(24))
    corpus = How2Sign(tmp_path)
    assert all([clip.name for clip in corpus.clips(split)] == ["a"] for split in ("train", "val", "test"))


# --- lexicon


def test_lexicon(tmp_path):
    (tmp_path / "lexicon.csv").write_text(
        "word,language,name,fps\n你好,CSL,csl/1,30\nrain,ASL,rain-1,30\nregen,DGS,regen-1,25\nhm,BSL,hm-1,25\n"
        "x,DGS,x-1,fast\n",
        encoding="utf-8",
    )
    for name in ("csl/1", "rain-1", "regen-1", "hm-1", "x-1"):
        write_frames(tmp_path / "poses" / name, random_motion(20))
    lexicon = Lexicon(tmp_path)
    clips = lexicon.clips("train")
    assert [(c.text, c.language, c.corpus, c.split) for c in clips] == [
        ("你好", "CSL", "lexicon", "train"), ("rain", "ASL", "lexicon", "train"), ("regen", "DGS", "lexicon", "train")
    ]
    assert [(len(m), m.fps) for m in map(lexicon.load, clips)] == [(20, 30.0), (16, 24.0), (20, 25.0)]
    assert [s.name for s in lexicon.skipped("train")] == ["hm-1", "x-1"]
    assert lexicon.clips("val") == lexicon.clips("test") == []


def test_signs_that_are_segments_of_continuous_clips(tmp_path):
    motion = random_motion(30)
    write_frames(tmp_path / "corpus/train/clip", motion, "images{:04d}.pkl")
    for number in range(22, 30):
        (tmp_path / f"corpus/train/clip/images{number:04}.pkl").unlink()
    (tmp_path / "lexicon").mkdir()
    (tmp_path / "lexicon/lexicon.csv").write_text(
        "word,language,name,fps,source,start,end\nregen,DGS,a,25,../corpus/train/clip,5,15\n"
        "wind,DGS,b,25,../corpus/train/clip,16,26\nsonne,DGS,c,25,../corpus/train/clip,18,28\n"
        "eis,DGS,d,25,../corpus/train/clip,9,9\nschnee,DGS,e,25,,,\nnebel,DGS,f,25,../corpus/train/clip,0.4,9.6\n"
    )
    write_frames(tmp_path / "lexicon/poses/e", random_motion(7))
    lexicon = Lexicon(tmp_path / "lexicon")
    a, b, c, e = lexicon.clips("train")
    assert torch.equal(lexicon.load(a).rotations, motion.rotations[5:15])
    assert torch.equal(lexicon.load(b).rotations, motion.rotations[16:22]), "6 of 10 frames are there"
    with pytest.raises(ClipError, match="clip c: .* holds 4 of the frames 18 to 27"):
        lexicon.load(c)
    assert len(lexicon.load(e)) == 7
    none, seconds = lexicon.skipped("train")
    assert "start '9' and end '9', which hold no frames" in none.reason
    assert "start '0.4', which is no number of a frame" in seconds.reason
