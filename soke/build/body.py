"""Body models and layouts."""

from __future__ import annotations

import dataclasses

import torch

from soke.body.joints import JOINT_GROUPS, expanded
from soke.body.layout import MotionLayout, PartSpec
from soke.body.model import load_body_model, load_smplfx
from soke.body.posed import Posed
from soke.body.settings import Part
from soke.body.skeleton import Skeleton
from soke.body.skeletonise import BodySkeleton
from soke.build import devices
from soke.build.readers import form_of
from soke.errors import UserError
from soke.run.config import Config, resolve


def layout_of(config: Config) -> MotionLayout:
    try:
        return MotionLayout([_spec_of(part) for part in config.parts])
    except KeyError as error:
        raise UserError(f"PARTS: {error.args[0]}; groups of joints are {', '.join(JOINT_GROUPS)}") from None
    except ValueError as error:
        raise UserError(f"PARTS: {error}") from None


def _spec_of(part: Part) -> PartSpec:
    values = {field.name: getattr(part, field.name) for field in dataclasses.fields(PartSpec)}
    return PartSpec(**{**values, "joints": expanded(part.joints)})


def body_model(config: Config, device: str | None = None) -> Posed:
    """A skeleton for a layout of positions, else SMPL-X or SMPL-FX. device: None: where single-process work runs"""
    layout = layout_of(config)
    if layout.of_positions:
        body = _skeleton(config, layout)
    else:
        settings = config.body
        betas = torch.tensor(settings.betas) if settings.betas else None
        common = resolve(settings.root), settings.flat_hand_mean, betas
        if settings.model == "smplfx":
            body = load_smplfx(*common, settings.head_place, settings.teeth)
        else:
            body = load_body_model(*common)
    return body.to(device or devices.device_of(config))


def scored_body(config: Config, device: str | None = None) -> Posed:
    """What scores and pictures are of: `body_model`, or its skeleton where BODY.SKELETON says so."""
    body = body_model(config, device)
    return BodySkeleton(body) if config.body.skeleton and not isinstance(body, Skeleton) else body


def _skeleton(config: Config, layout: MotionLayout) -> Skeleton:
    """Of the layout's joints, in the unit that the corpora's readers have. Raises UserError when they differ in it."""
    forms = {name: form_of(name, settings) for name, settings in config.dataset.corpora.items()}
    if len(set(forms.values())) > 1:
        listed = ", ".join(f"{name}: {unit}, {up} is up" for name, (unit, up) in forms.items())
        raise UserError(
            f"the positions of DATASET.CORPORA differ in unit or direction ({listed}): keep corpora of one kind, or "
            "bring them together in a reader of your own"
        )
    try:
        return Skeleton([joint for part in layout.parts for joint in part.joints], *next(iter(forms.values())))
    except ValueError as error:
        raise UserError(f"PARTS: {error}") from None
