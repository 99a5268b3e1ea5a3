from __future__ import annotations

import collections
import gzip
import pickle

import numpy as np
import pytest
import torch

from soke.errors import UserError
from soke.pickles import load_pickle
from tests.data.writing import Payload


def written(path, content: bytes):
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_containers_and_arrays_come_back(tmp_path, protocol, compress):
    content = {
        "f4": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f8": np.asfortranarray(np.random.default_rng(0).random((3, 4))),
        "swapped": np.arange(3, dtype=">i2"),
        "empty": np.zeros((0, 3), np.float32),
        "text": np.array(["ab", "c"]),
        "scalar": np.float64(2.5),
        "plain": [1, 2.5, "wörter", None, True, b"", b"\xff", (1, 2), {"a"}, frozenset({1})],
        "ordered": collections.OrderedDict(a=1),
    }
    read = load_pickle(written(tmp_path / "x.pkl", compress(pickle.dumps(content, protocol))))
    assert read.keys() == content.keys()
    for key in ("f4", "f8", "swapped", "empty", "text", "scalar"):
        assert read[key].dtype.newbyteorder("=") == content[key].dtype.newbyteorder("=")
        np.testing.assert_array_equal(read[key], content[key])
    assert read["plain"] == content["plain"] and read["ordered"] == content["ordered"]


@pytest.mark.parametrize("package", [b"numpy.core", b"numpy._core"])
def test_arrays_of_numpy_1_and_2(tmp_path, package):
    data = pickle.dumps(np.arange(3.0), protocol=2)
    here = b"numpy._core" if b"numpy._core" in data else b"numpy.core"
    read = load_pickle(written(tmp_path / "x.pkl", data.replace(here, package)))
    np.testing.assert_array_equal(read, [0.0, 1.0, 2.0])


@pytest.mark.parametrize("protocol", [2, 4])
def test_torch_tensors_are_none(tmp_path, protocol):
    entries = [{"name": "a", "sign": torch.ones(1, 1), "size": torch.Size([2]), "after": 7}]
    read = load_pickle(written(tmp_path / "x.pkl", pickle.dumps(entries, protocol)))
    assert read == [{"name": "a", "sign": None, "size": None, "after": 7}]


def test_a_payload_is_refused_by_name(tmp_path):
    trap = tmp_path / "trap"
    data = pickle.dumps([{"name": "a", "text": Payload(trap)}])
    pickle.loads(data)
    assert trap.exists()  # the payload works
    trap.rmdir()
    with pytest.raises(UserError, match=r"x\.pkl was refused.*(posix|nt)\.mkdir"):
        load_pickle(written(tmp_path / "x.pkl", data))
    assert not trap.exists()


@pytest.mark.parametrize("value", [np.array([{}, []], dtype=object), np.zeros(2, dtype=[("a", "f4")])])
def test_arrays_of_other_than_plain_numbers_are_refused(tmp_path, value):
    with pytest.raises(UserError, match="refused: it asks to load an array of type"):
        load_pickle(written(tmp_path / "x.pkl", pickle.dumps(value)))


FRAME = pickle.dumps({"smplx_root_pose": np.zeros(3, np.float32)})


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "is empty"),
        (FRAME[:-9], "is cut off or is not a pickle"),
        (gzip.compress(FRAME)[:-9], "is cut off or is not a pickle"),
        (b"<html>404 not found</html>", "is cut off or is not a pickle"),
        (b"\x1f\x8bnot really gzip", "is cut off or is not a pickle"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, cause):
    path = written(tmp_path / "frame.pkl", content)
    with pytest.raises(UserError) as raised:
        load_pickle(path)
    assert str(raised.value).startswith(f"{path} {cause}")
    assert "\n" not in str(raised.value)


def test_every_cut_is_noticed(tmp_path):
    for end in range(len(FRAME)):
        with pytest.raises(UserError):
            load_pickle(written(tmp_path / "x.pkl", FRAME[:end]))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.pkl cannot be read: No such file"):
        load_pickle(tmp_path / "gone.pkl")
