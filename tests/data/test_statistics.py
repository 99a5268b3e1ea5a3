from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from prepare.pack_poses import pack
from soke.body import MotionLayout, PartSpec
from soke.body.joints import LEFT_HAND, RIGHT_HAND
from soke.data.corpora.phoenix14t import Phoenix14T
from soke.data.dataset import MotionDataset
from soke.data.statistics import (
    STD_FLOOR,
    Statistics,
    compute_statistics,
    data_hashes,
    load_or_compute_statistics,
    published_statistics,
)
from soke.data.storage.frames import motion_from_frames
from soke.errors import UserError
from tests.data.writing import LAYOUT, random_motion, write_phoenix

MIRRORED = MotionLayout(
    [PartSpec("lhand", LEFT_HAND, rotation="6d"), PartSpec("rhand", RIGHT_HAND, rotation="6d", mirrors="lhand")]
)


def test_one_pass_agrees_with_numpy_over_all_frames():
    clips = [LAYOUT.features(random_motion(frames, seed=frames)) for frames in (1, 7, 40, 113)]
    clips[2] = {part: values + 1e4 for part, values in clips[2].items()}  # a one-pass sum of squares would lose this
    statistics = compute_statistics(clips, LAYOUT)
    assert (statistics.clips, statistics.frames, statistics.layout) == (4, 161, LAYOUT.hash)
    for part in LAYOUT.names:
        rows = np.concatenate([clip[part].double().numpy() for clip in clips])
        np.testing.assert_allclose(statistics.mean[part], rows.mean(0), rtol=1e-6)
        np.testing.assert_allclose(statistics.std[part], rows.std(0), rtol=1e-6)


def test_order_of_clips_does_not_matter():
    clips = [LAYOUT.features(random_motion(frames, seed=frames)) for frames in (3, 50, 8)]
    one, other = compute_statistics(clips, LAYOUT), compute_statistics(clips[::-1], LAYOUT)
    for part in LAYOUT.names:
        torch.testing.assert_close(one.mean[part], other.mean[part], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(one.std[part], other.std[part], rtol=1e-6, atol=1e-7)


def test_hands_that_share_a_tokenizer_share_their_statistics():
    features = MIRRORED.features(random_motion(30))
    statistics = compute_statistics([features], MIRRORED)
    rows = torch.cat([features["lhand"], features["rhand"]]).double()
    for part in ("lhand", "rhand"):
        torch.testing.assert_close(statistics.mean[part], rows.mean(0).float())
        torch.testing.assert_close(statistics.std[part], rows.std(0, correction=0).float())


def test_still_features_get_the_floor(caplog):
    caplog.set_level(logging.INFO)
    features = LAYOUT.features(random_motion(30))
    features["body"][:, :4] = 0.5
    statistics = compute_statistics([features], LAYOUT)
    assert (statistics.std["body"][:4] == STD_FLOOR).all() and (statistics.std["body"][4:] > 0.1).all()
    assert "4 of 133 features" in caplog.text


def test_no_clips():
    with pytest.raises(UserError, match="no clips"):
        compute_statistics([], LAYOUT)


def test_saved_and_loaded_are_the_same(tmp_path):
    saved = compute_statistics([LAYOUT.features(random_motion(30))], LAYOUT)
    saved.save(tmp_path / "run" / "statistics.json")
    loaded = Statistics.load(tmp_path / "run" / "statistics.json", LAYOUT)
    assert loaded.hash == saved.hash and (loaded.clips, loaded.frames) == (1, 30)
    for part in LAYOUT.names:
        assert torch.equal(loaded.mean[part], saved.mean[part]) and torch.equal(loaded.std[part], saved.std[part])
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["statistics.json"]


def test_hash_changes_with_any_number():
    one = compute_statistics([LAYOUT.features(random_motion(30))], LAYOUT)
    mean = {part: values.clone() for part, values in one.mean.items()}
    mean["rhand"][-1] += 1e-6
    assert Statistics(mean, one.std, one.layout).hash != one.hash
    assert Statistics(one.mean, one.std, one.layout).hash == one.hash  # how many clips does not change the features


def test_statistics_of_another_layout(tmp_path):
    path = tmp_path / "statistics.json"
    compute_statistics([LAYOUT.features(random_motion(30))], LAYOUT).save(path)
    with pytest.raises(UserError, match=f"{LAYOUT.hash}, this one is {MIRRORED.hash}"):
        Statistics.load(path, MIRRORED)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"mean": {"body": ["x"]}, "std": {}}'])
def test_damaged_statistics(tmp_path, content):
    path = tmp_path / "statistics.json"
    path.write_text(content)
    with pytest.raises(UserError, match=r"statistics\.json does not hold"):
        Statistics.load(path, LAYOUT)


@pytest.mark.parametrize("workers", [0, 1])
def test_computed_when_absent_and_saved(tmp_path, caplog, workers):
    write_phoenix(tmp_path, {"a": 50, "b": 41, "c": 60})
    (tmp_path / "dev/b/images0009.pkl").write_bytes(b"")
    dataset = MotionDataset([Phoenix14T(tmp_path)], "val", LAYOUT)
    computed = load_or_compute_statistics(tmp_path / "statistics.json", dataset, workers)
    expected = compute_statistics([dataset[0].features, dataset[2].features], LAYOUT)
    assert computed.hash == expected.hash and computed.clips == 2
    assert "1 of 3 clips were left out" in caplog.text
    (tmp_path / "dev").rename(tmp_path / "gone")  # now only the file can answer
    assert load_or_compute_statistics(tmp_path / "statistics.json", dataset).hash == computed.hash


def test_published_files(tmp_path):
    mean, std = torch.randn(179), torch.rand(179) + 0.1
    std[40] = 1e-9
    torch.save(mean, tmp_path / "mean.pt")
    torch.save(std, tmp_path / "std.pt")
    statistics = published_statistics(tmp_path / "mean.pt", tmp_path / "std.pt", LAYOUT)
    # SOKE cuts the 36 numbers of root and lower body, and the shape, from the 179; body = 30 joint numbers + jaw + face
    kept = torch.cat([torch.arange(36, 159), torch.arange(169, 179)])
    for stored, numbers in ((statistics.mean, mean), (statistics.std, std.clamp_min(STD_FLOOR))):
        assert torch.equal(stored["body"], torch.cat([numbers[kept][:30], numbers[kept][120:]]))
        assert torch.equal(stored["lhand"], numbers[kept][30:75])
        assert torch.equal(stored["rhand"], numbers[kept][75:120])
    values = torch.randn(3, 179)
    normalised = LAYOUT.features(motion_from_frames(((values - mean) / std).numpy(), 25.0))["lhand"]
    features = LAYOUT.features(motion_from_frames(values.numpy(), 25.0))["lhand"]
    torch.testing.assert_close((features - statistics.mean["lhand"]) / statistics.std["lhand"], normalised)
    with pytest.raises(UserError, match="axis-angle"):
        published_statistics(tmp_path / "mean.pt", tmp_path / "std.pt", MIRRORED)


@pytest.mark.parametrize(("mean", "std", "told"), [
    (torch.rand(179), torch.randn(179), "standard deviations are below zero.*were mean and standard deviation swapped"),
    (torch.ones(179), torch.ones(179), "mean and standard deviation are the same numbers"),
])
def test_published_files_that_hold_something_else(tmp_path, mean, std, told):
    torch.save(mean, tmp_path / "mean.pt")
    torch.save(std, tmp_path / "std.pt")
    with pytest.raises(UserError, match=f"mean.pt and .*std.pt cannot be used: .*{told}"):
        published_statistics(tmp_path / "mean.pt", tmp_path / "std.pt", LAYOUT)


def test_published_files_in_doubt_are_told(tmp_path, caplog):
    torch.save(torch.randn(179), tmp_path / "mean.pt")
    torch.save(torch.full((179,), 20.0), tmp_path / "std.pt")
    assert published_statistics(tmp_path / "mean.pt", tmp_path / "std.pt", LAYOUT).clips == 0
    assert "in doubt: the greatest standard deviation of a rotation is 20 rad, more than half a turn" in caplog.text


class Anything:
    pass


@pytest.mark.parametrize("content", [torch.zeros(133), {"mean": 1}, torch.full((179,), torch.nan), Anything(), None])
def test_published_files_of_another_form(tmp_path, content):
    if content is None:
        (tmp_path / "mean.pt").write_bytes(b"PK not a tensor")
    else:
        torch.save(content, tmp_path / "mean.pt")
    with pytest.raises(UserError, match=r"mean\.pt (does not hold a tensor|is not a saved tensor)"):
        published_statistics(tmp_path / "mean.pt", tmp_path / "mean.pt", LAYOUT)


def test_computed_again_when_clips_frames_or_settings_are_others(tmp_path, caplog):
    """As in the folder of a run that died on other data."""
    write_phoenix(tmp_path / "one", {"a": 50, "b": 41})
    write_phoenix(tmp_path / "two", {"a": 50, "b": 41, "c": 60})
    path = tmp_path / "statistics.json"

    def found(root: str, longest: int = 400) -> Statistics:
        return load_or_compute_statistics(
            path, MotionDataset([Phoenix14T(tmp_path / root)], "val", LAYOUT, max_frames=longest)
        )

    def expected(root: str, longest: int = 400) -> Statistics:
        dataset = MotionDataset([Phoenix14T(tmp_path / root)], "val", LAYOUT, max_frames=longest)
        return compute_statistics([dataset[i].features for i in range(len(dataset))], LAYOUT)

    assert found("one").hash == expected("one").hash
    written = path.stat().st_mtime_ns
    assert found("one").hash == expected("one").hash and path.stat().st_mtime_ns == written
    assert found("two").hash == expected("two").hash and "from other clips, frames or settings" in caplog.text
    assert found("two", 44).hash == expected("two", 44).hash != expected("two").hash
    frames = sorted((tmp_path / "two/dev/a").iterdir())
    frames[7].write_bytes(frames[30].read_bytes())
    assert found("two").hash == expected("two").hash


def test_packing_does_not_change_what_statistics_are_of(tmp_path):
    write_phoenix(tmp_path, {"a": 50, "b": 41})
    corpus = Phoenix14T(tmp_path)
    before = data_hashes(MotionDataset([corpus], "val", LAYOUT))
    pack(corpus, corpus.packed, workers=0)
    assert data_hashes(MotionDataset([Phoenix14T(tmp_path)], "val", LAYOUT)) == before
