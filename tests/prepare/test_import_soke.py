"""The import of the public tokenizer: from checkpoints written here, whole, hostile and damaged."""
from __future__ import annotations

import argparse
import collections
import logging
import pickle
import sys
import types
import zipfile
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from prepare.import_soke import import_soke, largest_deviation, main, read_weights
from soke.errors import UserError
from soke.tokenizer.soke_weights import our_names
from soke.tokenizer.tokenizer import SignTokenizer
from tests.data.writing import Payload
from tests.tokenizer.helpers import SOKE

GOLDEN = torch.load(Path(__file__).parents[1] / "golden" / "vqvae.pt", weights_only=True)
WIDTH = 64


class Settings(dict):
    """As EasyDict: a dictionary with a state."""


class Rebuilt:
    """A tensor that a checkpoint describes by any arguments."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __reduce__(self):
        return torch._utils._rebuild_tensor_v2, self.arguments


def part(features=45, codes=20, width=12, code_dim=8, stages=2, depth=3, seed=0):
    """A part's public state dict with random weights; the shapes are those of the public key list, at other sizes."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"quantizer.codebook": (codes, code_dim)}
    for name in our_names(stages, depth):
        layer, kind = name.rsplit(".", 1)
        if kind == "codebook":
            continue
        given = {"encoder.model.0": features, "decoder.model.0": code_dim}.get(layer, width)
        made = {f"encoder.model.{stages + 2}": code_dim, f"decoder.model.{stages + 4}": features}.get(layer, width)
        down = layer.startswith("encoder") and layer.count(".") == 3
        kernel = 4 if down else 1 if layer.endswith("conv2") else 3
        shapes[name] = (made,) if kind == "bias" else (made, given, kernel)
    return {name: torch.randn(shape, generator=generator) * 0.3 for name, shape in shapes.items()}


def small_parts():
    return {"vae": part(43), "hand_vae": part(seed=1), "rhand_vae": part(seed=2)}


def state_dict(parts):
    return collections.OrderedDict((f"{prefix}.{k}", v) for prefix, state in parts.items() for k, v in state.items())


def saved(path, parts, legacy=False, **more):
    torch.save({"state_dict": state_dict(parts), **more}, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def mean(tmp_path):
    torch.save(torch.zeros(179), tmp_path / "mean.pt")
    torch.save(torch.ones(179), tmp_path / "std.pt")
    return tmp_path / "mean.pt"


def refusal(path, mean, tmp_path):
    """The sentence that the import ends in; nothing is written."""
    with pytest.raises(UserError) as raised:
        import_soke(path, mean, tmp_path / "tokenizer")
    assert not (tmp_path / "tokenizer").exists() and "\n" not in str(raised.value)
    return str(raised.value)


def foreign_things(trap):
    """What checkpoints hold besides weights, some of a class that is gone, one that would make the folder `trap`."""
    module = types.ModuleType("gone_module")
    module.Gone = type("Gone", (), {"__module__": "gone_module"})
    settings = Settings(a=1, b=torch.ones(2))
    settings.hidden = Path("x")
    return module, {
        "cfg": OmegaConf.create({"TRAIN": {"LR": 1e-4}, "list": [1, 2]}),
        "args": argparse.Namespace(cfg=Path("configs/deto.yaml")),
        "easy": settings,
        "counts": collections.defaultdict(list, {"a": [1]}),
        "set": {Path("y")},
        "gone": module.Gone(),
        "payload": Payload(trap),
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_the_golden_body_among_everything_else(tmp_path, mean, monkeypatch, caplog, legacy):
    module, hyper_parameters = foreign_things(tmp_path / "trap")
    golden = GOLDEN["state_dict"]
    parts = {
        "vae": golden,
        "hand_vae": part(45, 192, WIDTH, WIDTH, seed=1),
        "rhand_vae": part(45, 192, WIDTH, WIDTH, seed=2),
        "metrics": {"MRMetrics.count": torch.tensor(3), "MRMetrics.sum": torch.zeros(())},
    }
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "gone_module", module)
        path = saved(
            tmp_path / "last.ckpt", parts, legacy, epoch=3, hyper_parameters=hyper_parameters,
            optimizer_states=[torch.optim.AdamW([torch.nn.Parameter(torch.ones(2))]).state_dict()],
        )
        torch.load(path, weights_only=False)
    (tmp_path / "trap").rmdir()  # the payload works

    caplog.set_level(logging.INFO)
    tokenizer, made = import_soke(path, mean, tmp_path / "tokenizer")
    assert made and not (tmp_path / "trap").exists() and "gone_module" not in sys.modules
    assert "metrics (2)" in caplog.text and "gone_module.Gone" in caplog.text and "mkdir" in caplog.text

    loaded = SignTokenizer.from_pretrained(tmp_path / "tokenizer")
    assert loaded.hash == tokenizer.hash and loaded.streams == {"body": 96, "lhand": 192, "rhand": 192}
    assert loaded.layout.hash == SOKE.hash
    for prefix, name in (("vae", "body"), ("hand_vae", "lhand"), ("rhand_vae", "rhand")):
        for theirs, ours in our_names(2, 3).items():
            assert torch.equal(loaded.autoencoders[name].state_dict()[ours], parts[prefix][theirs])
    hands = torch.zeros(2, 64, 45)
    features = {"body": GOLDEN["input"], "lhand": hands, "rhand": hands}
    codes = loaded.encode(features, torch.tensor([64, 64]))
    assert torch.equal(codes.values[..., 0], GOLDEN["codes"])
    rebuilt = loaded.decode(codes)["body"]
    torch.testing.assert_close(rebuilt, GOLDEN["reconstruction"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("legacy", [False, True])
def test_the_forms_that_tensors_are_saved_in(tmp_path, legacy):
    parts = small_parts()
    expected = {prefix: {key: values.clone() for key, values in state.items()} for prefix, state in parts.items()}
    vae = parts["vae"]
    vae["encoder.model.0.weight"] = vae["encoder.model.0.weight"].transpose(0, 2).contiguous().transpose(0, 2)
    vae["encoder.model.2.0.weight"] = torch.nn.Parameter(vae["encoder.model.2.0.weight"])
    flat = torch.cat([torch.zeros(5), vae["decoder.model.0.bias"], vae["decoder.model.6.bias"]])
    vae["decoder.model.0.bias"], vae["decoder.model.6.bias"] = flat[5:17], flat[17:]
    for dtype, key in ((torch.float64, "decoder.model.4.bias"), (torch.float16, "encoder.model.4.bias"),
                       (torch.bfloat16, "encoder.model.0.bias")):
        vae[key] = vae[key].to(dtype)
        expected["vae"][key] = vae[key].float()
    weights = read_weights(saved(tmp_path / "a.ckpt", parts, legacy))
    for prefix, state in expected.items():
        assert weights[prefix].keys() == state.keys()
        for key, values in state.items():
            assert weights[prefix][key].dtype == torch.float32 and torch.equal(weights[prefix][key], values)


@pytest.mark.parametrize(("stages", "depth"), [(1, 1), (3, 2)])
def test_other_sizes_are_inferred(tmp_path, mean, stages, depth):
    sizes = {"stages": stages, "depth": depth}
    parts = {"vae": part(43, 7, 10, 6, **sizes), "hand_vae": part(45, 9, **sizes), "rhand_vae": part(45, 9, **sizes)}
    tokenizer, _ = import_soke(saved(tmp_path / "a.ckpt", parts), mean, tmp_path / "tokenizer")
    body = tokenizer.settings["body"]
    assert (body.quantizer.codes, body.code_dim, body.width, body.depth, body.downsample) == (7, 6, 10, depth, 2**stages)
    assert tokenizer.streams == {"body": 7, "lhand": 9, "rhand": 9}


def test_training_can_go_on(tmp_path, mean):
    """The codebook is not made anew, and its averages agree with it."""
    tokenizer, _ = import_soke(saved(tmp_path / "a.ckpt", small_parts()), mean, tmp_path / "tokenizer")
    quantizer = tokenizer.autoencoders["body"].quantizer
    assert quantizer.updates == 1
    torch.testing.assert_close(quantizer.sums / quantizer.counts[:, None], quantizer.codebook)


def test_features_that_hardly_move_are_counted(tmp_path, mean, caplog):
    std = torch.ones(179)
    std[[40, 70, 120]] = torch.tensor([0.0, 1e-9, 9e-4])
    std[5] = 0.0  # of the lower body: not in the layout
    torch.save(std, tmp_path / "std.pt")
    tokenizer, _ = import_soke(saved(tmp_path / "a.ckpt", small_parts()), mean, tmp_path / "tokenizer")
    assert "3 of 133 features hardly move" in caplog.text
    assert sum(int((a.std < 1).sum()) for a in tokenizer.autoencoders.values()) == 3


def test_no_warning_for_features_that_move(tmp_path, mean, caplog):
    import_soke(saved(tmp_path / "a.ckpt", small_parts()), mean, tmp_path / "tokenizer")
    assert "hardly move" not in caplog.text


@pytest.mark.parametrize("key", ["encoder.stages.1.residual.blocks.0.mix.bias", "decoder.stages.0.up.weight",
                                 "quantizer.codebook"])
def test_the_check_sees_one_wrong_weight(tmp_path, mean, key):
    parts = small_parts()
    tokenizer, _ = import_soke(saved(tmp_path / "a.ckpt", parts), mean, tmp_path / "tokenizer")
    body = tokenizer.autoencoders["body"]
    assert largest_deviation(body, parts["vae"]) < 1e-6
    body.state_dict()[key].add_(0.1)
    assert largest_deviation(body, parts["vae"]) > 1e-3


def test_the_check_sees_blocks_in_another_order(tmp_path, mean):
    parts = small_parts()
    tokenizer, _ = import_soke(saved(tmp_path / "a.ckpt", parts), mean, tmp_path / "tokenizer")
    stack = tokenizer.autoencoders["body"].encoder.stages[0].residual
    for block, dilation in zip(stack.blocks, (1, 3, 9)):  # here they are 9, 3, 1
        block.spread.dilation = block.spread.padding = (dilation,)
    assert largest_deviation(tokenizer.autoencoders["body"], parts["vae"]) > 1e-3


def test_a_check_that_fails_writes_nothing(tmp_path, mean, monkeypatch):
    monkeypatch.setattr("prepare.import_soke.largest_deviation", lambda *_: float("nan"))
    sentence = refusal(saved(tmp_path / "a.ckpt", small_parts()), mean, tmp_path)
    assert sentence.startswith("vae.* computes something else here than the public tokenizer does")


def test_summary_and_repetition(tmp_path, mean, capsys):
    path, out = saved(tmp_path / "a.ckpt", small_parts()), tmp_path / "deps" / "tokenizer"
    arguments = ["--ckpt", str(path), "--mean", str(mean), "--out", str(out)]
    main(arguments)
    printed = capsys.readouterr().out
    assert "lhand: 20 codes of 8 numbers, width 12, 3 blocks per stage, 4 frames per code" in printed
    assert SignTokenizer.from_pretrained(out).hash in printed and f"Ready: TOKENIZER.PATH={out}" in printed
    written = {file: file.stat().st_mtime_ns for file in out.iterdir()}
    main(arguments)
    assert "There already" in capsys.readouterr().out
    assert written == {file: file.stat().st_mtime_ns for file in out.iterdir()}
    assert [entry.name for entry in out.parent.iterdir()] == ["tokenizer"]


def test_a_folder_of_something_else_is_left_alone(tmp_path, mean):
    path, out = saved(tmp_path / "a.ckpt", small_parts()), tmp_path / "tokenizer"
    out.mkdir()
    import_soke(path, mean, out)  # an empty folder may be filled
    other = saved(tmp_path / "b.ckpt", {**small_parts(), "vae": part(43, seed=9)})
    before = (out / "model.safetensors").read_bytes()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.txt").write_text("mine")
    for taken in (out, tmp_path / "file", tmp_path / "thesis"):
        with pytest.raises(UserError, match=f"{taken} is there already and holds something else"):
            import_soke(other, mean, taken)
    assert (out / "model.safetensors").read_bytes() == before and (tmp_path / "file").read_text() == "mine"
    assert [file.name for file in (tmp_path / "thesis").iterdir()] == ["thesis.txt"]


def changed(prefix, key, values):
    parts = small_parts()
    if values is None:
        del parts[prefix][key]
    else:
        parts[prefix][key] = values
    return parts


@pytest.mark.parametrize(("prefix", "key", "values", "sentence"), [
    ("hand_vae", "encoder.model.0.weight", torch.ones(12, 43, 3),
     "hand_vae.encoder.model.0.weight is [12, 43, 3], expected [12, 45, 3]"),
    ("rhand_vae", "decoder.model.3.2.weight", torch.ones(12, 12, 5),
     "rhand_vae.decoder.model.3.2.weight is [12, 12, 5], expected [12, 12, 3]"),
    ("vae", "quantizer.codebook", torch.ones(20, 9), "vae.encoder.model.4.weight is [8, 12, 3], expected [9, 12, 3]"),
    ("vae", "quantizer.codebook", torch.ones(20), "vae.quantizer.codebook is [20], expected [codes, size of a code]"),
    ("vae", "quantizer.codebook", None, "vae.quantizer.codebook [codes, size of a code] is missing"),
    ("vae", "encoder.model.0.weight", None, "vae.encoder.model.0.weight [width, features, 3] is missing"),
    ("vae", "decoder.model.6.bias", None, "vae.decoder.model.6.bias is missing (1 keys are)"),
    ("vae", "encoder.model.9.bias", torch.ones(12), "vae.'encoder.model.9.bias' is not known (1 keys are not)"),
    ("vae", "decoder.model.6.bias", torch.full((43,), torch.nan), "vae.decoder.model.6.bias holds NaN or infinity"),
    ("vae", "encoder.model.0.bias", torch.full((12,), 1e300, dtype=torch.double),
     "vae.encoder.model.0.bias holds NaN or infinity"),
    ("vae", "decoder.model.6.bias", "text", "vae.decoder.model.6.bias is no tensor"),
    ("vae", "decoder.model.6.bias", torch.ones(43).long(), "vae.decoder.model.6.bias does not hold floating-point"),
    ("vae", "decoder.model.6.bias", torch.ones(0), "vae.decoder.model.6.bias claims [0] numbers"),
    ("vae", "a\nb", torch.ones(1), "a key of its state_dict is no plain text"),
])
def test_weights_that_do_not_fit(tmp_path, mean, prefix, key, values, sentence):
    assert sentence in refusal(saved(tmp_path / "a.ckpt", changed(prefix, key, values)), mean, tmp_path)


def test_misshapen_weights_do_not_decide_how_much_memory_is_taken(tmp_path, mean):
    parts = changed("vae", "encoder.model.0.weight", torch.zeros(100_000, 43, 1))
    assert "vae.encoder.model.0.weight is [100000, 43, 1], expected [100000, 43, 3]" in refusal(
        saved(tmp_path / "a.ckpt", parts), mean, tmp_path
    )


def test_a_missing_part_is_named(tmp_path, mean):
    parts = small_parts()
    del parts["hand_vae"]
    parts["lm"] = {"head": torch.ones(1)}
    sentence = refusal(saved(tmp_path / "a.ckpt", parts), mean, tmp_path)
    assert "a.ckpt has no hand_vae.*, the weights of lhand; its keys begin with vae, rhand_vae, lm;" in sentence


def test_parts_of_different_pace(tmp_path, mean):
    parts = {**small_parts(), "vae": part(43, stages=1)}
    assert "frames per code are body 2, lhand 4, rhand 4" in refusal(saved(tmp_path / "a.ckpt", parts), mean, tmp_path)


def test_missing_statistics_are_named(tmp_path, mean):
    (tmp_path / "std.pt").unlink()
    assert "std.pt cannot be read" in refusal(saved(tmp_path / "a.ckpt", small_parts()), mean, tmp_path)


STORAGE = torch.arange(8.0)._typed_storage()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("arguments", [
    (STORAGE, 0, (43,), (1,)),
    (STORAGE, 1, (8,), (1,)),
    (STORAGE, 10**12, (1,), (1,)),
    (STORAGE, -1, (4,), (1,)),
    (STORAGE, 7, (4,), (-1,)),
    (STORAGE, 0, (4,), (10**9,)),
    (STORAGE, 0, (2**20, 2**20), (0, 0)),
    (STORAGE, 0, (-4, -2), (1, 1)),
    (STORAGE, 0, (4,), ()),
    (STORAGE, 0, 4, 1),
    (STORAGE, 0, (4.0,), (1.0,)),
    (STORAGE, "0", (4,), (1,)),
    ("storage", 0, (4,), (1,)),
    (STORAGE,),
    (),
])
def test_hostile_tensors_are_refused(tmp_path, mean, arguments, legacy):
    parts = changed("vae", "decoder.model.6.bias", Rebuilt(*arguments))
    path = saved(tmp_path / "a.ckpt", parts, legacy)
    assert "a.ckpt is damaged: vae.decoder.model.6.bias " in refusal(path, mean, tmp_path)


def repacked(source, target, compression=zipfile.ZIP_STORED, **changes):
    """A copy of a zip checkpoint with some of its records (by the last part of their name) replaced or left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            content = changes.get(name.split("/", 1)[1].replace("/", "_").replace(".", "_"), old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


def test_storages_that_are_not_what_they_are_said_to_be(tmp_path, mean):
    path, target = saved(tmp_path / "a.ckpt", small_parts()), tmp_path / "b.ckpt"
    assert "the storage of vae.quantizer.codebook has 5 bytes" in refusal(
        repacked(path, target, data_0=b"short"), mean, tmp_path
    )
    assert "is cut off or damaged (KeyError)" in refusal(repacked(path, target, data_0=None), mean, tmp_path)
    assert "compressed" in refusal(repacked(path, target, zipfile.ZIP_DEFLATED), mean, tmp_path)
    other = {"little": b"big", "big": b"little"}[sys.byteorder]
    assert "another byte order" in refusal(repacked(path, target, byteorder=other), mean, tmp_path)
    assert "no checkpoint of PyTorch" in refusal(repacked(path, target, data_pkl=None), mean, tmp_path)
    import_soke(repacked(path, target), mean, tmp_path / "tokenizer")  # repacking alone does no harm


@pytest.mark.parametrize("name", [b"torch._utils\n_rebuild_tensor_v2\n", b"torch._utils\n_rebuild_parameter\n",
                                  b"collections\nOrderedDict\n", b"os\nmkdir\n", b"builtins\nobject\n"])
def test_a_file_cannot_change_what_stands_in_for_its_classes(tmp_path, mean, name):
    """A pickle that gives a state to a class itself, in both forms of a state."""
    path = saved(tmp_path / "a.ckpt", small_parts())
    attributes = b"}(X\x09\x00\x00\x00argumentsK\x01X\x07\x00\x00\x00__new__K\x01u"
    for state in (attributes, b"N" + attributes + b"\x86"):
        hostile = repacked(path, tmp_path / "b.ckpt", data_pkl=b"\x80\x02c" + name + state + b"b.")
        sentence = refusal(hostile, mean, tmp_path)
        assert "holds no state_dict" in sentence or "is cut off or damaged" in sentence
    import_soke(path, mean, tmp_path / "tokenizer")


@pytest.mark.parametrize("legacy", [False, True])
def test_every_cut_is_noticed(tmp_path, mean, legacy):
    data = saved(tmp_path / "a.ckpt", small_parts(), legacy).read_bytes()
    assert len(data) > 40_000
    for end in [1, 2, 3, 4, 20, 700, *range(1000, len(data), len(data) // 15), len(data) - 1]:
        (tmp_path / "b.ckpt").write_bytes(data[:end])
        sentence = refusal(tmp_path / "b.ckpt", mean, tmp_path)
        assert "is cut off or damaged" in sentence or (end < 20 and "not a checkpoint" in sentence)


def test_flipped_numbers_are_noticed(tmp_path, mean):
    data = bytearray(saved(tmp_path / "a.ckpt", small_parts()).read_bytes())
    values = small_parts()["vae"]["quantizer.codebook"].numpy().tobytes()
    data[data.index(values) + 10] ^= 1
    (tmp_path / "b.ckpt").write_bytes(data)
    assert "is cut off or damaged (BadZipFile)" in refusal(tmp_path / "b.ckpt", mean, tmp_path)


@pytest.mark.parametrize("content", [b"<html>404</html>", pickle.dumps({"state_dict": {}}), pickle.dumps(7)])
def test_files_that_are_no_checkpoints(tmp_path, mean, content):
    (tmp_path / "a.ckpt").write_bytes(content)
    sentence = refusal(tmp_path / "a.ckpt", mean, tmp_path)
    assert "a.ckpt is not a checkpoint that can be read safely" in sentence and "save it again" in sentence


def test_an_empty_file_is_named(tmp_path, mean):
    (tmp_path / "a.ckpt").touch()
    assert "a.ckpt is empty (0 bytes)" in refusal(tmp_path / "a.ckpt", mean, tmp_path)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("content", [
    lambda trap: torch.ones(3),
    lambda trap: state_dict(small_parts()),
    lambda trap: {"state_dict": [1]},
    lambda trap: {"state_dict": Payload(trap)},
    lambda trap: Payload(trap),
])
def test_checkpoints_of_other_things(tmp_path, mean, content, legacy):
    torch.save(content(tmp_path / "trap"), tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    assert "a.ckpt holds no state_dict: give the Lightning" in refusal(tmp_path / "a.ckpt", mean, tmp_path)
    assert not (tmp_path / "trap").exists()


def test_a_payload_alone_is_not_run(tmp_path, mean):
    (tmp_path / "a.ckpt").write_bytes(pickle.dumps(Payload(tmp_path / "trap")))
    assert "is not a checkpoint" in refusal(tmp_path / "a.ckpt", mean, tmp_path)
    assert not (tmp_path / "trap").exists()


def test_missing_files_are_named(tmp_path, mean):
    assert "gone.ckpt cannot be read: No such file" in refusal(tmp_path / "gone.ckpt", mean, tmp_path)
    assert "cannot be read: Is a directory" in refusal(tmp_path, mean, tmp_path)
