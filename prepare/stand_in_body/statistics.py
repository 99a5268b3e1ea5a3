"""How bodies and faces vary: sampled adults, principal components, facial actions, joint regressors."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import nnls

from prepare.stand_in_body.rig import Rig

_BATCH = 20
_LOCAL_CHANGE_STD = 0.12
_LOCAL_CHANGES_LEFT_OUT = ("pregnant", "asym", "genital", "foot", "navel", "trans-in", "bulge")
# The jaw and the eyes are joints, the tongue is not modelled.
_ACTIONS_LEFT_OUT = ("jaw", "eyeLook", "tongueOut")
_EXPRESSION_SAMPLES = 4000


def sample_population(rig: Rig, count: int, rng: np.random.Generator,
                      body_of: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
                      ) -> tuple[np.ndarray, np.ndarray]:
    """T-posed adults of all builds: vertices `[count, V, 3]` float32 and joints `[count, 55, 3]`, metres.

    `body_of` turns the rest vertices, bone heads and bone tails of one body into its vertices and joints.
    """
    bodies = []
    for start in range(0, count, _BATCH):
        phenotype, local = _sample_parameters(rig, min(_BATCH, count - start), rng)
        bodies += [body_of(*one) for one in zip(*rig.rest(phenotype, local))]
    return np.stack([vertices for vertices, _ in bodies]).astype(np.float32), np.stack([joints for _, joints in bodies])


def _sample_parameters(rig: Rig, count: int, rng: np.random.Generator) -> tuple[dict[str, torch.Tensor], ...]:
    phenotype = {name: np.full(count, 0.5) for name in rig.model.phenotype_labels}
    phenotype["gender"] = rng.beta(0.6, 0.6, count)
    phenotype["age"] = rng.uniform(0.6, 0.95, count)
    phenotype["muscle"] = rng.beta(4, 4, count)
    phenotype["weight"] = rng.beta(3, 4, count)
    phenotype["height"] = np.clip(rng.normal(0.36, 0.09, count), 0, 1)
    phenotype["proportions"] = rng.uniform(0.4, 1, count)
    for name, share in zip(("african", "asian", "caucasian"), rng.dirichlet([1, 1, 1], count).T):
        phenotype[name] = share
    local: dict[str, np.ndarray] = {}
    for name in rig.model.local_change_labels:
        if any(word in name for word in _LOCAL_CHANGES_LEFT_OUT):
            continue
        if name.startswith("r-"):  # the right limb changes as the left one
            local[name] = local.get("l-" + name[2:], np.zeros(count))
        else:
            local[name] = rng.normal(0, _LOCAL_CHANGE_STD, count)
    as_tensors = [{name: torch.tensor(values) for name, values in group.items()} for group in (phenotype, local)]
    return tuple(as_tensors)


def shape_directions(vertices: np.ndarray, mean: np.ndarray, count: int) -> np.ndarray:
    """The first principal components of a population, each scaled to one standard deviation: `[count, V, 3]`.

    vertices: `[N, V, 3]`. mean: `[V, 3]`.
    """
    samples = len(vertices)
    residuals = (vertices - mean.astype(vertices.dtype)).reshape(samples, -1)
    _, scale, rows = np.linalg.svd(residuals, full_matrices=False)
    directions = rows[:count] * (scale[:count, None] / np.sqrt(samples))
    return (directions * _signs(directions)[:, None]).reshape(count, -1, 3)


def expression_directions(names: list[str], actions: np.ndarray,
                          rng: np.random.Generator) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Facial actions turned into components that are ordered by how much they move the face.

    names: A names. actions: `[A, V, 3]` displacements in metres.

    Returns the E names used, directions `[E, V, 3]`, and the matrix `[E, E]` that turns strengths of the actions
    (0..1, a row vector) into coefficients of the directions, exactly.
    """
    kept = [i for i, name in enumerate(names) if not name.startswith(_ACTIONS_LEFT_OUT)]
    names = [names[i] for i in kept]
    flat = actions[kept].reshape(len(kept), -1)
    strengths = rng.uniform(0, 1, (_EXPRESSION_SAMPLES, len(names)))
    strengths *= rng.uniform(size=strengths.shape) < 0.3
    for i, name in enumerate(names):  # most faces move both sides alike
        left = name.removesuffix("Right") + "Left"
        if name.endswith("Right") and left in names:
            together = rng.uniform(size=len(strengths)) < 0.75
            strengths[together, i] = strengths[together, names.index(left)]
    second_moment = strengths.T @ strengths / len(strengths) + 1e-9 * np.eye(len(names))
    _, scale, rows = np.linalg.svd(np.linalg.cholesky(second_moment).T @ flat, full_matrices=False)
    rows *= _signs(rows)[:, None]
    return names, (rows * scale[:, None]).reshape(len(names), -1, 3), flat @ rows.T / scale


def _signs(rows: np.ndarray) -> np.ndarray:
    """+1 or -1 per component `[K]`, a convention of its own: the signs that an SVD gives differ between machines.

    The sum of cubed displacements becomes positive: up and forward for a component that is alike on both sides of the
    body, sideways for one that is opposite, since the other sum cancels between the sides.
    """
    cubes = (rows.reshape(len(rows), -1, 3).astype(float) ** 3).sum(1)  # [K, 3]
    sideways, upright = cubes[:, 0], cubes[:, 1] + cubes[:, 2]
    return np.where(np.where(np.abs(upright) > np.abs(sideways), upright, sideways) < 0, -1, 1)


def fit_regressor(ids: np.ndarray, vertices: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """Non-negative weights `[len(ids)]`, summing to one, that give a joint from some vertices.

    ids: the vertices to use. vertices: `[N, V, 3]` samples. joint: `[N, 3]` where the joint is in each.
    """
    sum_to_one = 20.0
    system = vertices[:, ids].transpose(0, 2, 1).reshape(-1, len(ids)).astype(float)
    weights, _ = nnls(np.vstack([system, np.full((1, len(ids)), sum_to_one)]), np.append(joint.ravel(), sum_to_one))
    return weights / weights.sum()
