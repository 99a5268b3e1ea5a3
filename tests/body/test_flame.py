"""FLAME's official pickle is read without chumpy, scipy, or anything that it could run."""
from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import scipy.sparse

from soke.body.flame import read_flame
from soke.errors import UserError
from tests.data.writing import Payload

FLAME = Path(__file__).parents[2] / "deps" / "smpl_models" / "stand_in" / "flame" / "FLAME_NEUTRAL.npz"


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    with np.load(FLAME) as file:
        return {name: file[name] for name in file.files if name != "posedirs"}


@pytest.fixture
def chumpy(monkeypatch) -> tuple[type, type]:
    """Classes under chumpy's names, for the time of writing."""
    monkeypatch.setitem(sys.modules, "chumpy", ModuleType("chumpy"))
    kinds = []
    for module, name in (("chumpy.ch", "Ch"), ("chumpy.reordering", "Select")):
        kind = type(name, (), {"__module__": module, "__init__": lambda self, **state: self.__dict__.update(state)})
        stub = ModuleType(module)
        setattr(stub, name, kind)
        monkeypatch.setitem(sys.modules, module, stub)
        kinds.append(kind)
    return tuple(kinds)


class OldArray:
    """Pickled as Python 2 pickles an array: its bytes as text."""

    def __init__(self, array: np.ndarray):
        self.array = array

    def __reduce__(self):
        rebuild, arguments, (version, shape, dtype, is_fortran, raw) = self.array.__reduce__()
        return rebuild, arguments, (version, shape, dtype, is_fortran, raw.decode("latin1"))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_official_pickle_is_the_npz(tmp_path, monkeypatch, arrays, chumpy, protocol):
    value, selection = chumpy
    directions = arrays["shapedirs"].astype(np.float64)
    content = {
        **arrays, "bs_style": "lbs", "J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"]),
        "v_template": OldArray(arrays["v_template"].astype(np.float64)),
        "shapedirs": value(x=directions),
        "weights": selection(a=value(x=arrays["weights"]), idxs=np.arange(5), preferred_shape=(5,)),
    }
    file = tmp_path / "generic_model.pkl"
    file.write_bytes(pickle.dumps(content, protocol))
    for module in ("chumpy.ch", "chumpy.reordering"):
        monkeypatch.delitem(sys.modules, module)
    own, npz = read_flame(file), read_flame(FLAME)
    for name in ("template", "faces", "shape", "expression"):
        assert np.array_equal(getattr(own, name), getattr(npz, name)), name
    np.testing.assert_allclose(own.eyes, npz.eyes, atol=1e-7)
    assert own.eyelids is None and own.lips[0, 0] == 1713  # nothing lies beside it: the public numbering


def test_selections_and_rows_are_read(tmp_path, arrays, chumpy):
    value, selection = chumpy
    flat = arrays["v_template"].ravel()
    order = np.random.default_rng(0).permutation(len(flat))
    content = {
        **arrays, "J_regressor": scipy.sparse.csr_matrix(arrays["J_regressor"]),
        "v_template": selection(a=value(x=flat[order]), idxs=np.argsort(order), preferred_shape=(5023, 3)),
    }
    file = tmp_path / "flame2023.pkl"
    file.write_bytes(pickle.dumps(content, 2))
    own, npz = read_flame(file), read_flame(FLAME)
    assert np.array_equal(own.template, npz.template)
    np.testing.assert_allclose(own.eyes, npz.eyes, atol=1e-7)


def test_nothing_is_run(tmp_path, arrays):
    file = tmp_path / "FLAME_NEUTRAL.pkl"
    file.write_bytes(pickle.dumps({**arrays, "extra": Payload(tmp_path / "ran")}))
    with pytest.raises(UserError, match="FLAME_NEUTRAL.pkl was refused: it asks to load"):
        read_flame(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds no FLAME model, but a list"),
        ({"v_template": "text"}, "has a v_template that is no array of numbers"),
        ({"v_template": np.full((5023, 3), np.nan)}, r"v_template of \[5023, 3\] that is no matrix of finite numbers"),
    ],
)
def test_other_pickles_are_named(tmp_path, content, message):
    file = tmp_path / "generic_model.pkl"
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=message):
        read_flame(file)


def test_a_cut_npz_is_named(tmp_path):
    file = tmp_path / "FLAME_NEUTRAL.npz"
    file.write_bytes(FLAME.read_bytes()[:1000])
    with pytest.raises(UserError, match="FLAME_NEUTRAL.npz cannot be read as arrays in npz format"):
        read_flame(file)


def test_lip_rings_of_another_model_are_named(tmp_path, arrays):
    np.savez(tmp_path / "FLAME_NEUTRAL.npz", **arrays)
    for rings in ({"upper": np.arange(15)}, {"upper": np.arange(15), "lower": np.arange(5010, 5025)}):
        np.savez(tmp_path / "lip_rings.npz", **rings)
        with pytest.raises(UserError, match="lip_rings.npz must hold `upper` and `lower`, 15 of FLAME's 5023 vertices"):
            read_flame(tmp_path / "FLAME_NEUTRAL.npz")
