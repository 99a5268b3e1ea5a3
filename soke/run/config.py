"""Configuration: YAML files that inherit, checked against the sections' dataclasses before anything is built.

Nothing here imports torch, so that `--help` and every configuration error answer at once. `configs/default.yaml`
says what each key means.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Literal, TypeVar

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from soke import hub
from soke.body.settings import Part
from soke.errors import UserError
from soke.run.schema import ROOT, Config, contradictions, resolve
from soke.run.useless import without_effect
from soke.settings import SettingsError, near
from soke.storage import read_text

DEFAULTS = ROOT / "configs" / "default.yaml"
_BAD: Any = object()  # what is no section at all
_Settings = TypeVar("_Settings")


def load_config(file: str | Path, assets: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Defaults, then `file` with its BASE files, then `assets`, then `KEY.SUB=value` overrides; checked.

    Raises UserError that lists everything that is wrong, with the nearest valid name of every unknown key.
    """
    merged, layers = _read(DEFAULTS), []
    defaults = OmegaConf.to_container(merged)
    for layer in (file, assets):
        if layer is not None:
            merged = _read(_find(layer), merged, layers)
    stated = _hints(Config).keys()
    layers = [layer for layer in layers if len(stated & layer.keys()) < len(stated) / 2]  # no run's config.yaml
    try:
        given = OmegaConf.create()
        for item in overrides:
            override = _override(item)
            merged = _merged(merged, override, item)
            given = OmegaConf.merge(given, override)
        layers.append(OmegaConf.to_container(given))
        plain = OmegaConf.to_container(merged, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"the configuration cannot be read: {str(error).splitlines()[0]}") from None
    problems: list[str] = []
    config = _checked(plain, Config, "", problems)
    if config is not _BAD:
        problems += contradictions(config)
        useless = without_effect(config, layers, plain, defaults)
        problems += [said for said in useless if not any(said.split()[0] in problem for problem in problems)]
    if problems:
        raise UserError(f"{file}: " + "; ".join(problems))
    return config


def read_settings(file: str | Path, kind: type[_Settings]) -> _Settings:
    """A file of its own, whose keys are the fields of `kind` in capitals. Raises UserError that lists everything that is
    wrong."""
    path = _find(file)
    problems: list[str] = []
    try:
        settings = _checked(OmegaConf.to_container(_read(path), resolve=True), kind, "", problems)
    except OmegaConfBaseException as error:
        raise UserError(f"{path} cannot be read: {str(error).splitlines()[0]}") from None
    if problems:
        raise UserError(f"{path}: " + "; ".join(problems))
    return settings


def model_folder(name: str | Path) -> Path:
    """Folder of a model that a configuration names: a path as of `resolve`, or user/name[@revision] on the hub. Raises
    UserError as `soke.hub.model_folder`."""
    return hub.model_folder(name, ROOT)


def to_yaml(config: Config) -> str:
    """The whole configuration as YAML that `load_config` reads back."""
    return OmegaConf.to_yaml(OmegaConf.create(to_plain(config)))


def to_plain(section: Any) -> Any:
    """A section, or a list or table of sections, as plain types under the keys that YAML has."""
    if dataclasses.is_dataclass(section):
        return {_key(type(section), f.name): to_plain(getattr(section, f.name)) for f in dataclasses.fields(section)}
    if isinstance(section, dict):
        return {name: to_plain(value) for name, value in section.items()}
    return [to_plain(value) for value in section] if isinstance(section, (list, tuple)) else section


def _key(section: type, field: str) -> str:
    """How YAML writes a field: in capitals, but for the entries of lists, which have small letters."""
    return field if issubclass(section, Part) else field.upper()


@contextmanager
def keyed() -> Iterator[None]:
    """Settings that turn out to make no sense in the block, together with a model for instance, are named by the keys
    of their section (UserError); so are the arguments that any other UserError names in backticks, if they have the
    name of one setting, or its path (`tokenizer.path`)."""
    try:
        with naming(_setting_key):
            yield
    except SettingsError as error:
        prefix = _prefix_of(type(error.settings))
        if prefix is None:
            raise
        named = [_with_keys(problem, type(error.settings), prefix) for problem in error.problems]
        raise UserError("; ".join(named)) from None


@contextmanager
def naming(key: Callable[[str], str | None]) -> Iterator[None]:
    """UserErrors of the block get keys in the place of the arguments that they name in backticks.

    key: argument -> its key, or None
    """
    try:
        yield
    except SettingsError:
        raise
    except UserError as error:
        error.args = (re.sub(r"`([\w.]+)`", lambda match: key(match[1]) or match[0], str(error)),)
        raise


def _setting_key(name: str) -> str | None:
    """The key of the setting of this name, or path; None where there is none, or another of this name."""
    path = name.upper()
    found = {key for key in _keys_of(Config) if key == path or "." not in path and key.rpartition(".")[2] == path}
    return found.pop() if len(found) == 1 and "*" not in "".join(found) else None


def _keys_of(section: type, prefix: str = "") -> Iterator[str]:
    """The keys of a section and of those within it; * stands for the names in tables and the entries of lists."""
    for key, kind in _hints(section).items():
        yield prefix + key
        for inner in (kind, *typing.get_args(kind)):
            if dataclasses.is_dataclass(inner):
                yield from _keys_of(inner, f"{prefix}{key}." if inner is kind else f"{prefix}{key}.*.")


def _prefix_of(section: type, within: type = Config, prefix: str = "") -> str | None:
    """What stands before a section's keys; None for one that is in lists or tables, or nowhere."""
    for key, kind in _hints(within).items():
        if kind is section:
            return f"{prefix}{key}."
        found = _prefix_of(section, kind, f"{prefix}{key}.") if dataclasses.is_dataclass(kind) else None
        if found is not None:
            return found
    return None


def _find(file: str | Path) -> Path:
    """A file that the user names on the command line: relative to where he is, or to the repository."""
    here = Path(file).expanduser()
    path = here if here.is_file() else ROOT / here
    if not path.is_file():
        known = [str(p.relative_to(ROOT)) for p in (ROOT / "configs").rglob("*.yaml")]
        found = difflib.get_close_matches(str(file), known)
        raise UserError(f"no configuration file {file}" + (f"; did you mean {found[0]}?" if found else ""))
    return path


def _read(
    path: Path, below: DictConfig | None = None, layers: list[Any] | None = None, seen: tuple[Path, ...] = ()
) -> DictConfig:
    """What a file, with its BASE files, makes of the configuration that lies below it; what each of them sets is added to
    `layers`, in plain types."""
    if path in seen:
        raise UserError(f"{path}: BASE leads back to itself")
    text = read_text(path)
    try:
        own = OmegaConf.create(text)
    except Exception as error:  # PyYAML raises many kinds; all say where in the file
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(own, DictConfig):
        raise UserError(f"{path} must hold KEY: value pairs")
    bases = own.pop("BASE", None) or []
    bases = [bases] if isinstance(bases, str) else bases
    merged = OmegaConf.create() if below is None else below
    for base in bases:
        file = resolve(base)
        if not file.is_file():
            raise UserError(f"{path}: its BASE {base} does not exist")
        merged = _read(file, merged, layers, (*seen, path))
    if layers is not None:
        layers.append(OmegaConf.to_container(own))
    return _merged(merged, own, str(path))


def _merged(below: DictConfig, layer: DictConfig, source: str) -> DictConfig:
    """`layer` on what lies below it. Where that has a list of named entries, the layer may have a table of names, with
    what changes of each entry; and a quantizer that says its kind takes the place of another, whose settings it would
    not know. Raises UserError for a name that no entry has; source: where the layer is from."""
    for key, changed in layer.items():
        if not isinstance(changed, DictConfig) or not isinstance(below.get(key), ListConfig):
            continue
        entries = [entry for entry in below[key] if isinstance(entry, DictConfig) and "name" in entry]
        names = [entry["name"] for entry in entries]
        unknown = [str(name) for name in changed if name not in names]
        if unknown or len(entries) < len(below[key]):
            among = f"{', '.join(names) or 'none'}{near(unknown[0], names)}" if unknown else "entries without a name"
            raise UserError(f"{source}: {key} has no entry {', '.join(unknown)}, but {among}")
        layer[key] = [_changed(entry, changed.get(entry["name"]), source, str(key)) for entry in entries]
    return _onto(below, layer, OmegaConf.unsafe_merge, source)  # `below` is needed no more, and to copy it takes longest


def _onto(below: DictConfig, layer: DictConfig, merge: Callable[..., Any], source: str, prefix: str = "") -> DictConfig:
    """Merged. Raises UserError for a list in the place of a table, or a table in that of a list."""
    try:
        return merge(below, layer)
    except TypeError:
        raise UserError(f"{source}: {_of_other_form(below, layer, prefix)}") from None


def _of_other_form(below: DictConfig, layer: DictConfig, prefix: str) -> str:
    """Of the first key that holds a list in one of them and a table in the other, a sentence; "" where none does."""
    for key, value in layer.items():
        before, found = below.get(key), ""
        if isinstance(before, DictConfig) and isinstance(value, DictConfig):
            found = _of_other_form(before, value, f"{prefix}{key}.")
        elif isinstance(before, (DictConfig, ListConfig)) and isinstance(value, (DictConfig, ListConfig)):
            if type(before) is not type(value):
                form = "be a list" if isinstance(before, ListConfig) else "hold KEY: value pairs"
                found = f"{prefix}{key} must {form}, not {OmegaConf.to_container(value)}"
        if found:
            return found
    return ""


def _changed(entry: DictConfig, change: Any, source: str, table: str) -> DictConfig:
    if change is None:
        return entry
    prefix = f"{table}.{entry['name']}"
    if not isinstance(change, DictConfig):
        raise UserError(f"{source}: {prefix} must hold KEY: value pairs, not {change}")
    replaced = {key for key, value in change.items() if isinstance(value, DictConfig) and "kind" in value}
    kept = OmegaConf.masked_copy(entry, [key for key in entry if key not in replaced])
    return _onto(kept, change, OmegaConf.merge, source, f"{prefix}.")


def _override(item: str) -> DictConfig:
    """KEY.SUB=value. Where the key holds text, the value is taken as it is, or without the quotes around it, whatever
    is in it; elsewhere it is YAML. null, or no value, is null where that may be."""
    key, equals, value = item.partition("=")
    if not equals or item.startswith("-"):
        raise UserError(f"{item} is no override: write KEY.SUB=value, as in TRAIN.BATCH_SIZE=16")
    kinds = _kinds(key)
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    if value in ("", "null") and type(None) in kinds:
        value = "null"
    elif value == "" or (_are_text(kinds) and not quoted):
        value = "'" + value.replace("'", "''") + "'"
    try:
        return OmegaConf.from_dotlist([f"{key}={value}"])
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "it is no YAML"
        raise UserError(f"{item} cannot be read ({problem}): put quotes around texts in lists and in {{}}") from None


def _kinds(key: str) -> tuple[Any, ...]:
    """What a dotted key may hold; nothing where there is no such key."""
    kind: Any = Config
    for name in key.split("."):
        kinds = [kind for kind in _options(kind) if kind is not type(None)]
        kind = kinds[0] if len(kinds) == 1 else None
        if dataclasses.is_dataclass(kind):
            kind = _hints(kind).get(name)
        elif typing.get_origin(kind) in (dict, list):  # entries of lists have names, too
            kind = typing.get_args(kind)[-1]
        else:
            kind = None
    return () if kind is None else _options(kind)


def _options(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)


def _are_text(kinds: tuple[Any, ...]) -> bool:
    return bool(kinds) and all(k in (str, type(None)) or typing.get_origin(k) is Literal for k in kinds)


def _checked(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    """`value` as `kind`, with every problem noted under the dotted `path`; _BAD where it cannot be one."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _checked_option(value, args, path, problems)
    if origin is Literal:
        if value in args:
            return value
        choices = ", ".join(map(str, args))
        problems.append(f"{path} is {value!r}, but must be one of {choices}{near(str(value), args)}")
    elif origin is list:
        if isinstance(value, list):
            items = [_checked(item, args[0], f"{path}[{i}]", problems) for i, item in enumerate(value)]
            return _BAD if _BAD in items else items
        problems.append(f"{path} must be a list, not {value!r}")
    elif origin is dict:
        if isinstance(value, dict):
            return _checked_table(value, args, path, problems)
        problems.append(f"{path} must hold KEY: value pairs, not {value!r}")
    elif dataclasses.is_dataclass(kind):
        if isinstance(value, dict):
            return _checked_section(value, kind, f"{path}." if path else "", problems)
        problems.append(f"{path} must hold KEY: value pairs, not {value!r}")
    elif kind is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    else:
        problems.append(f"{path} must be {_KINDS.get(kind, kind)}, not {value!r}")
    return _BAD


_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _checked_option(value: Any, kinds: tuple[Any, ...], path: str, problems: list[str]) -> Any:
    """As the first of the kinds that it can be."""
    if value is None and type(None) in kinds:
        return None
    attempts = []
    for option in (kind for kind in kinds if kind is not type(None)):
        tried: list[str] = []
        result = _checked(value, option, path, tried)
        if not tried:
            return result
        attempts.append(tried)
    problems.extend(min(attempts, key=len))
    return _BAD


def _checked_table(value: dict, kinds: tuple[Any, ...], path: str, problems: list[str]) -> Any:
    names = [_checked(key, kinds[0], f"the name of {path}.{key}", problems) for key in value]
    kept = {key: item for key, item in value.items() if item is not None}  # null takes out what a BASE has
    items = {key: _checked(item, kinds[1], f"{path}.{key}", problems) for key, item in kept.items()}
    return _BAD if _BAD in (*names, *items.values()) else items


def _checked_section(value: dict, kind: Any, prefix: str, problems: list[str]) -> Any:
    hints = _hints(kind)
    for key in value:
        if key not in hints:
            moved = getattr(kind, "moved", {}).get(str(key).lower())
            problems.append(
                f"{prefix}{key} is now {moved}" if moved else f"unknown key {prefix}{key}" + near(str(key), hints)
            )
    fields = {_key(kind, f.name): f for f in dataclasses.fields(kind)}
    known = {key: _checked(value[key], hints[key], f"{prefix}{key}", problems) for key in hints if key in value}
    missing = [
        key for key, f in fields.items()
        if key not in known and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    problems.extend(f"{prefix}{key} is missing" for key in missing)
    if missing or _BAD in known.values():
        return _BAD
    try:
        return kind(**{fields[key].name: item for key, item in known.items()})
    except SettingsError as error:
        problems.extend(_with_keys(problem, kind, prefix) for problem in error.problems)
        return error.settings


def _with_keys(problem: str, section: type, prefix: str) -> str:
    """A section's sentence with the keys of its fields, which stand in backticks."""
    def key(match: re.Match[str]) -> str:
        first, *rest = match[1].split(".")
        if first not in {field.name for field in dataclasses.fields(section)}:
            return match[0]
        of_table = typing.get_origin(typing.get_type_hints(section)[first]) is dict  # whose names users choose
        given = 1 if of_table else 0
        rest = [*rest[:given], *(_key(section, name) for name in rest[given:])]
        return prefix + ".".join([_key(section, first), *rest])

    return re.sub("`([^`]+)`", key, problem)


def _hints(section: type) -> dict[str, Any]:
    """The keys that YAML has for a section -> what they hold."""
    hints = typing.get_type_hints(section)
    return {_key(section, field.name): hints[field.name] for field in dataclasses.fields(section)}
