"""Groups come and go by themselves (MLSF of SignLLM): a trained regressor takes in further sign languages, and its groups
can be parted and put together again, without a bit of any of them being changed."""
from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import torch

from soke.errors import UserError
from soke.regressor.group import Group, GroupSpec, new_group
from soke.regressor.regressor import PoseRegressor
from soke.starting import Begun, take

log = logging.getLogger(__name__)

_EMBEDDINGS = "network.token_embedding.weight"  # whose rows are words
_OF_WORDS, _OF_TRAINING = (_EMBEDDINGS, "front."), ("deviation",)


def learning(
    regressor: PoseRegressor, specs: Mapping[str, GroupSpec], start: str | None = None
) -> tuple[PoseRegressor, Begun]:
    """The regressor, to be trained on clips of these specs: the group of a language that it signs goes on, with the
    language's new words; one that it does not sign is added, as `with_languages` does, or joins the group of all languages.
    Other groups are as they were, and frozen.

    specs: name -> of the corpora's groups; start: as of `with_languages`

    Returns it with what was taken in the groups that go on. Raises UserError for a group of one language where that of the
    model has several, or the other way round; for a `start` where nothing is added; and as `with_languages` does.
    """
    own = dict(regressor.groups)
    homes = {name: _home(regressor, name, spec) for name, spec in specs.items()}
    added = {name: spec for name, spec in specs.items() if homes[name] is None}
    if start is not None and not added:
        raise UserError(
            f"the regressor signs {', '.join(regressor.languages)}, and no language is added that could start from {start}: "
            "leave TRAIN.INIT_LANGUAGE empty, and the groups of the corpora's languages go on from their own weights"
        )
    grown = with_languages(regressor, added, start)
    begun = Begun([])
    for name, spec in specs.items():
        home = homes[name]
        if home is not None:
            group, own_begun = _going_on(own[home], spec)
            grown.groups[home] = group
            begun += own_begun.within(f"groups.{home}.")
    return grown, begun


def _home(regressor: PoseRegressor, name: str, spec: GroupSpec) -> str | None:
    """Name of the group that goes on with a spec's clips; None where there is none."""
    if spec.settings.groups == "shared":
        if list(regressor.groups) == [name]:
            return name
        raise UserError(
            f"the regressor has a group for each of {', '.join(regressor.languages)}: set REGRESSOR.GROUPS=per_language"
        )
    homes = [regressor.group_of(language) for language in spec.languages if language in regressor.languages]
    for home in homes:
        languages = regressor.groups[home].spec.languages
        if len(languages) > 1:
            raise UserError(f"the regressor has one group for {', '.join(languages)}: set REGRESSOR.GROUPS=shared")
    return homes[0] if homes else None


def _going_on(trained: Group, spec: GroupSpec) -> tuple[Group, Begun]:
    """A group with the weights of a trained one, so far as they fit, for its clips and those of a spec."""
    group = new_group(spec.following(trained.spec), len(trained.deviation))
    rows = {_EMBEDDINGS: group.vocabulary.shared(trained.vocabulary)}
    if group.front is not None and trained.front is not None:
        glosses = group.front.glosses.shared(trained.front.glosses)
        rows |= {f"front.{name}": glosses for name in ("embedding.weight", "head.weight", "head.bias")}
    return group, take(group, trained.state_dict(), rows)


def with_languages(
    regressor: PoseRegressor, specs: Mapping[str, GroupSpec], start: str | None = None
) -> PoseRegressor:
    """The regressor with a new group for each spec. Its own groups and its statistics are as they were, and frozen: only
    the new groups' parameters require a gradient.

    specs: name -> of a new group
    start: sign language whose group the new ones start from, see `start_from`; None: from random weights

    Raises UserError for a language that the regressor signs already, and for a `start` that it does not sign.
    """
    known = [language for spec in specs.values() for language in spec.languages if language in regressor.languages]
    if known:
        raise UserError(
            f"the regressor signs {', '.join(known)} already ({', '.join(regressor.languages)}): leave the corpora of "
            "that language out, or train a regressor of your own"
        )
    own = dict(regressor.groups)
    origin = None if start is None else own[regressor.group_of(start)]
    regressor.requires_grad_(False)
    added = {}
    for name, spec in specs.items():
        added[name] = new_group(spec, len(regressor.mean))
        if origin is not None:
            taken, words = start_from(added[name], origin)
            log.info(
                "the group %s starts from that of %s: %d of its %d weights, the embeddings of %d of its %d words among "
                "them", name, start, taken, sum(p.numel() for p in added[name].parameters()), words, len(spec.tokens),
            )
    return _regressor(regressor, {**own, **added})


@torch.no_grad()
def start_from(group: Group, origin: Group) -> tuple[int, int]:
    """Gives a group the weights of another that fit: those of the network, and the embeddings of the words that both
    have. Returns how many numbers it has taken, and how many words. Raises UserError where nothing but words could fit.
    """
    theirs, ours = origin.state_dict(), group.state_dict()
    alike = [
        name for name, value in ours.items()
        if not name.startswith((*_OF_WORDS, *_OF_TRAINING)) and name in theirs and theirs[name].shape == value.shape
    ]
    if ours[_EMBEDDINGS].shape[1] != theirs[_EMBEDDINGS].shape[1] or not alike:
        raise UserError(
            f"nothing of the group of {', '.join(origin.spec.languages)} fits one of width {group.settings.width}, for it "
            f"has {origin.settings.width}: give the new one its sizes, or let it start from random weights"
        )
    for name in alike:
        ours[name].copy_(theirs[name])
    mine, of = group.vocabulary.shared(origin.vocabulary)
    ours[_EMBEDDINGS][mine] = theirs[_EMBEDDINGS][of]
    taken = sum(ours[name].numel() for name in alike) + len(mine) * group.settings.width
    return taken, len(mine) - len(group.vocabulary.SPECIALS)


def only(regressor: PoseRegressor, languages: Collection[str]) -> PoseRegressor:
    """A regressor of the groups of these sign languages alone, to be saved by itself. Raises UserError for one that the
    regressor does not sign, and for none."""
    names = {regressor.group_of(language) for language in languages}
    if not names:
        raise UserError(f"no sign language is named that is to be kept; the regressor signs {', '.join(regressor.languages)}")
    return _regressor(regressor, {name: group for name, group in regressor.groups.items() if name in names})


def assembled(regressors: Sequence[PoseRegressor]) -> PoseRegressor:
    """One regressor of the groups of several.

    Raises UserError where two sign one language, or a group of another name than theirs is of the same name, and where
    layouts, statistics or the forms of frames differ: what a group says then means another motion.
    """
    first, groups = regressors[0], {}
    for regressor in regressors:
        for what, ours, theirs in (
            ("layout", first.layout.hash, regressor.layout.hash), ("form of frames", first.form, regressor.form),
            ("statistics", first.statistics.hash, regressor.statistics.hash),
        ):
            if ours != theirs:
                raise UserError(
                    f"regressors of {', '.join(first.languages)} and of {', '.join(regressor.languages)} do not "
                    f"belong together: their {what} differ, {ours} and {theirs}; train both with one DATASET.STATISTICS "
                    "and one layout, or add one's languages to the other"
                )
        for name, group in regressor.groups.items():
            signed = {language for other in groups.values() for language in other.spec.languages}
            both = signed.intersection(group.spec.languages)
            if both or name in groups:
                raise UserError(f"two regressors have a group {name} of {', '.join(sorted(both)) or 'other languages'}")
            groups[name] = group
    return _regressor(first, groups)


def _regressor(like: PoseRegressor, groups: Mapping[str, Group]) -> PoseRegressor:
    statistics = like.statistics
    made = PoseRegressor(like.layout, statistics.mean, statistics.std, groups, like.form)
    return made.to(like.device).train(like.training)
