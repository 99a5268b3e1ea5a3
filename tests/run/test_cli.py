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


@pytest.mark.parametrize(("program", "key"), [
    ("train", "train"), ("prepare.add_language", "train"), ("test", "test"), ("vis_mesh", "test"), ("get_motion_code", "eval"),
])
def test_the_flag_of_the_batch_size_sets_the_one_that_the_program_has(program, key):
    config, _ = cli.parse(cli.parser(program, ""), ["--cfg", "configs/demo/signllm.yaml", "--batch_size", "3"])
    assert {name for name in ("train", "test", "eval") if getattr(config, name).batch_size == 3} == {key}


def test_other_errors_of_ours_stay_what_they_are():
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda: 1 / 0)
