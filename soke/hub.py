"""The Hugging Face hub: models are fetched from there by name, and pushed. Nothing that could run is fetched: only weights
in safetensors, tables in JSON and sentencepiece's vocabularies, as the folders of our models hold them."""
from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from soke import __version__
from soke.errors import UserError

SAFE = ("*.safetensors", "*.json", "*sentencepiece.bpe.model")
_NAME = re.compile(r"(?P<repo>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>(?!.*\.\.)[\w./-]+))?", re.ASCII)


def model_folder(name: str | Path, base: Path = Path()) -> Path:
    """Folder of a model that is named by its path, or as user/name or user/name@revision on the hub; the files of that
    one are kept in the hub's cache, and fetched where they are not there yet or others now.

    base: what paths are relative to; whatever lies in a folder that is there is a path
    Raises UserError for what cannot be fetched.
    """
    path, match = base / Path(name).expanduser(), _NAME.fullmatch(str(name))
    if match is None or (base / match["repo"].split("/")[0]).is_dir():
        return path
    return _fetched(match["repo"], match["revision"], path)


def _fetched(repo: str, revision: str | None, path: Path) -> Path:
    """The snapshot in the hub's cache. path: that there is not, of the same name"""
    from huggingface_hub import snapshot_download

    with explained(repo, revision, f"{path} is no folder, and "):
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=list(SAFE)))
    if not any(folder.rglob("*.safetensors")):
        raise UserError(
            f"{repo} on the hub holds no weights in safetensors, and others are neither fetched nor read; ask its author for "
            "them, or convert them yourself"
        )
    return folder


def safe_files(folder: Path) -> list[str]:
    """The files of a folder that may travel, relative to it. Raises UserError for one that is a link out of it."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and any(map(path.match, SAFE)))
    for path in found:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path} is a link to {path.resolve()}, outside of the folder: put the file itself there")
    return [path.relative_to(folder).as_posix() for path in found]


def push(folder: Path, files: Sequence[str], name: str, card: str, private: bool = False) -> str:
    """Makes files of a folder, and a card, what a repository of the hub holds of their sort; returns the commit's
    address.

    files:   relative to the folder; others of the same endings that the repository has are removed
    name:    user/name, or user/name@branch
    card:    its README.md
    private: when the repository is new, only its owner sees it
    Raises UserError.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    match, api = _NAME.fullmatch(name), HfApi()
    if match is None:
        raise UserError(f"{name} is no name on the hub: write user/name, or user/name@branch")
    repo, branch = match["repo"], match["revision"]
    endings, kept = {Path(file).suffix for file in files}, {*files, "README.md"}
    with explained(repo, branch):
        api.create_repo(repo, private=private, exist_ok=True)
        if branch is not None:
            api.create_branch(repo, branch=branch, exist_ok=True)
        there = api.list_repo_files(repo, revision=branch)
        operations = [
            CommitOperationAdd("README.md", card.encode()), *(CommitOperationAdd(file, folder / file) for file in files),
            *(CommitOperationDelete(file) for file in there if Path(file).suffix in endings and file not in kept),
        ]
        commit = api.create_commit(
            repo, operations, commit_message=f"Version {__version__} of soke writes it", revision=branch
        )
    return commit.commit_url


@contextmanager
def explained(repo: str, revision: str | None = None, before: str = "") -> Iterator[None]:
    """What goes wrong with the hub in the block becomes one sentence (UserError), which begins with `before`."""
    from huggingface_hub import constants, errors

    where = f"{repo}@{revision}" if revision else repo
    login = "log in with `hf auth login`, or set HF_TOKEN"
    offline = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else f"{constants.ENDPOINT} cannot be reached"
    try:
        yield
    except errors.GatedRepoError:
        said = f"the hub gives {repo} only to those whom its author admits: ask on its page for access, and {login}"
    except errors.RepositoryNotFoundError:
        said = f"the hub has no {repo}: check the name; where it is private, {login}"
    except errors.RevisionNotFoundError:
        said = f"{repo} on the hub has no revision {revision}: name a branch, a tag or a commit of it"
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        said = f"{where} is not, or not whole, in {constants.HF_HUB_CACHE}, and {offline}: fetch it once while it can be"
    except errors.LocalTokenNotFoundError:
        said = f"the hub must know who you are for {repo}: {login}"
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        said = f"the hub refuses {where} ({status}): " + (login if status in (401, 403) else "try again later")
    except (errors.HTTPError, errors.FileMetadataError) as error:
        said = f"{constants.ENDPOINT} cannot be reached for {where} ({type(error).__name__}): check the network"
    except ValueError as error:  # of names, among them those of files that would lie outside of the cache
        said = f"{where} is refused: {str(error).splitlines()[0]}"
    except OSError as error:
        said = f"{where} cannot be written to {constants.HF_HUB_CACHE}: {error.strerror or error}"
    except Exception as error:  # what transfers large files raises kinds of its own
        reason = (str(error).splitlines() or [""])[0]
        said = f"{where} did not get through ({type(error).__name__}: {reason}): try again"
    else:
        return
    raise UserError(before + said)
