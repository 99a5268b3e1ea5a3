"""The builder of the stand-in body, as far as it runs without the package that it reads from."""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from prepare.stand_in_body import __main__ as command
from prepare.stand_in_body.anatomy import eyeball, vertex_normals
from prepare.stand_in_body.decimation import decimate
from prepare.stand_in_body.face import write_face

STAND_IN = Path(__file__).parents[2] / "deps" / "smpl_models" / "stand_in"


def edge_counts(faces: np.ndarray) -> np.ndarray:
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    return np.unique(edges, axis=0, return_counts=True)[1]


def test_eyeball_is_a_closed_symmetric_sphere():
    vertices, faces, mirror = eyeball()
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1)
    np.testing.assert_allclose(vertices[mirror] * [-1, 1, 1], vertices, atol=1e-12)
    assert (edge_counts(faces) == 2).all()
    assert len(vertices) - len(edge_counts(faces)) + len(faces) == 2
    assert ((vertex_normals(vertices, faces) * vertices).sum(1) > 0.99).all()


def test_decimation_meets_every_target_and_keeps_the_mesh_closed_and_symmetric():
    vertices, faces, mirror = eyeball()
    region = (vertices[:, 2] < 0.5).astype(int)
    targets = {0: int((region == 0).sum()) - 20, 1: 200}
    protected = np.zeros(len(vertices), bool)
    protected[[0, 77, mirror[77]]] = True
    alive, left = decimate(vertices, faces, region, targets, protected, np.ones(len(vertices)), mirror)
    assert {r: int((region[alive] == r).sum()) for r in targets} == targets
    assert alive[protected].all()
    assert np.array_equal(np.unique(left), np.flatnonzero(alive))
    assert np.array_equal(alive[mirror], alive)
    assert (edge_counts(left) == 2).all()
    assert len(left) == 2 * alive.sum() - 4
    assert ((vertex_normals(vertices, left) * vertices)[alive].sum(1) > 0.9).all()


def test_decimation_says_when_a_target_is_out_of_reach():
    vertices, faces, mirror = eyeball()
    with pytest.raises(RuntimeError, match="stopped early"):
        decimate(vertices, faces, np.zeros(len(vertices), int), {0: 300}, np.ones(len(vertices), bool),
                 np.ones(len(vertices)), mirror)


def test_eyelids_and_lip_rings_are_those_of_the_model(tmp_path):
    """What is committed is what the builder makes of the committed model."""
    for name in ("flame/FLAME_NEUTRAL.npz", "standin_extra.npz", "SMPL-X__FLAME_vertex_ids.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(STAND_IN / name)
    write_face(tmp_path)
    for name in ("l_eyelid.npy", "r_eyelid.npy"):
        made = np.load(tmp_path / "flame" / name)
        np.testing.assert_allclose(made, np.load(STAND_IN / "flame" / name), atol=1e-7)
        assert made.shape == (5023, 3)
    template = np.load(STAND_IN / "flame/FLAME_NEUTRAL.npz")["v_template"]
    with np.load(tmp_path / "flame/lip_rings.npz") as made, np.load(STAND_IN / "flame/lip_rings.npz") as kept:
        rings = [made[lip] for lip in ("upper", "lower")]
        assert all(np.array_equal(ring, kept[lip]) for ring, lip in zip(rings, ("upper", "lower")))
    for ring in rings:
        points = template[ring]
        assert len(set(ring)) == 15 and (np.diff(points[:, 0]) > 0).all()
        np.testing.assert_allclose(points[::-1] * [-1, 1, 1], points, atol=1e-4)
    assert (template[rings[0][1:-1], 1] > template[rings[1][1:-1], 1]).all()


def test_missing_package_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "anny", None)
    monkeypatch.setattr(sys, "argv", ["stand_in_body", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match="needs the package anny.*pip install anny"):
        command.main()
    assert not (tmp_path / "out").exists()


def test_output_must_be_a_folder(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(sys, "argv", ["stand_in_body", "--out", str(tmp_path / "file")])
    with pytest.raises(SystemExit):
        command.main()
    assert "is a file" in capsys.readouterr().err
