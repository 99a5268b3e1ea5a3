from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from soke.metrics.alignment import procrustes_align, root_align
from tests.metrics.dtw_reference import similarity_aligned

GOLDEN = Path(__file__).parents[1] / "golden" / "dtw_jpe.npz"


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def points(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", ["similarity_exact", "noisy", "reflection", "planar_source"])
def test_golden(name: str) -> None:
    with np.load(GOLDEN) as golden:
        a, b, expected = (torch.from_numpy(golden[f"ra_{name}_{key}"]) for key in ("A", "B", "out_f64"))
    torch.testing.assert_close(procrustes_align(a.double(), b.double()), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(procrustes_align(a, b).double(), expected, rtol=0, atol=2e-5)


def test_batch_is_every_frame_by_itself(generator: torch.Generator) -> None:
    pred, ref = points(generator, 2, 5, 7), points(generator, 2, 5, 7)
    aligned = procrustes_align(pred, ref)
    for b in range(2):
        for t in range(5):
            expected = similarity_aligned(pred[b, t].numpy(), ref[b, t].numpy())
            np.testing.assert_allclose(aligned[b, t].numpy(), expected, atol=1e-12)


def test_similarity_is_undone_and_alignment_is_idempotent(generator: torch.Generator) -> None:
    ref = points(generator, 4, 8)
    q, _ = torch.linalg.qr(points(generator, 3))
    rotation = q * torch.linalg.det(q)
    torch.testing.assert_close(procrustes_align(0.3 * ref @ rotation + 2.0, ref), ref)
    aligned = procrustes_align(points(generator, 4, 8), ref)
    torch.testing.assert_close(procrustes_align(aligned, ref), aligned)


def test_no_worse_than_the_identity_or_a_small_change(generator: torch.Generator) -> None:
    pred, ref = points(generator, 6, 8), points(generator, 6, 8)
    aligned = procrustes_align(pred, ref)
    error = (aligned - ref).square().sum()
    assert error < (pred - ref).square().sum()
    centre = aligned.mean(dim=1, keepdim=True)
    for factor in (0.99, 1.01):
        assert error < (centre + factor * (aligned - centre) - ref).square().sum()


def test_a_mirrored_body_is_not_mirrored_back(generator: torch.Generator) -> None:
    ref = points(generator, 1, 8)
    mirrored = ref * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
    assert (procrustes_align(mirrored, ref) - ref).norm(dim=-1).mean() > 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("where", [0.0, 1 / 3, 100.0])
def test_coincident_points_end_on_the_mean(generator: torch.Generator, dtype: torch.dtype, where: float) -> None:
    ref = points(generator, 2, 8).to(dtype)
    pred = torch.full_like(ref, where)
    expected = ref.mean(dim=1, keepdim=True).expand_as(ref)
    torch.testing.assert_close(procrustes_align(pred, ref), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(procrustes_align(ref, pred), pred)


def test_root_align(generator: torch.Generator) -> None:
    pred, ref = points(generator, 5, 7), points(generator, 5, 7)
    aligned = root_align(pred, ref)
    torch.testing.assert_close(aligned[:, 0], ref[:, 0])
    torch.testing.assert_close(aligned[:, 1:] - aligned[:, :1], pred[:, 1:] - pred[:, :1])
