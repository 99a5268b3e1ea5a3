"""How entry points end."""
from __future__ import annotations

import pytest
import torch

from soke.run import cli


def asks_for_too_much() -> None:
    torch.empty(1 << 50)


def on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 15.33 GiB.\nGPU 0 has 1 GiB")


def without_a_word() -> None:
    raise MemoryError


@pytest.mark.parametrize(("main", "said"), [
    (asks_for_too_much, "can't allocate memory"), (on_a_gpu, "(CUDA out of memory. Tried to allocate 15.33 GiB.):"),
    (without_a_word, "(MemoryError):"),
])
def test_too_little_memory_is_one_sentence(capsys, main, said):
    with pytest.raises(SystemExit) as ended:
        cli.run(main)
    (sentence,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and said in sentence
    assert sentence.startswith("error: there is not enough memory (") and "a smaller TRAIN.BATCH_SIZE" in sentence


def test_other_errors_of_ours_stay_what_they_are():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 / 0)
