"""Body models and layouts."""

from __future__ import annotations

import dataclasses

import torch

from soke.body.joints import JOINT_GROUPS, expanded
from soke.body.layout import MotionLayout, PartSpec
from soke.body.model import BodyModel, load_body_model
from soke.build import devices
from soke.errors import UserError
from soke.run.config import Config, resolve


def layout_of(config: Config) -> MotionLayout:
    try:
        return MotionLayout([PartSpec(**{**dataclasses.asdict(p), "joints": expanded(p.joints)}) for p in config.parts])
    except KeyError as error:
        raise UserError(f"PARTS: {error.args[0]}; groups of joints are {', '.join(JOINT_GROUPS)}") from None
    except ValueError as error:
        raise UserError(f"PARTS: {error}") from None


def body_model(config: Config, device: str | None = None) -> BodyModel:
    """device: None: where single-process work runs"""
    betas = torch.tensor(config.body.betas) if config.body.betas else None
    body = load_body_model(resolve(config.body.root), config.body.flat_hand_mean, betas)
    return body.to(device or devices.device_of(config))
