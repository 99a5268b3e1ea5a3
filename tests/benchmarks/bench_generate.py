"""Generation at mBART-large's size with random weights, against a loop without cache: the same codes, and how much
faster.

python tests/benchmarks/bench_generate.py            the table
python tests/benchmarks/bench_generate.py --check    exits 1 when a stated ratio is not reached
python tests/benchmarks/bench_generate.py --curve    videos per second at batch sizes up to 256 (for GPUs)

The loop without cache runs the encoder once, the decoder over the whole prefix at every step, and one head over the
whole vocabulary of which each part's codes are then taken. Without a GPU both run in float32 on all cores.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from soke.generator.model import SignGenerator  # noqa: E402
from soke.generator.settings import Search  # noqa: E402
from soke.generator.spec import GeneratorSpec  # noqa: E402
from soke.run.config import load_config  # noqa: E402

CODEBOOKS = {"body": 96, "lhand": 192, "rhand": 192}
TOKENS = 19_012  # of the text, after trimming to the corpora
WORDS = 38  # with end and locale a source of 40
STATED = [(1, 50, 3.5), (8, 100, 9.0)]  # batch, steps, times faster than the loop without cache
MODES = {"sequential": 3.3, "parallel": 1.2}  # times the seconds of multi-head, at most


def make_text_tokenizer(size: int):
    """A text tokenizer with `size` tokens: invented words w0, w1, …"""
    from transformers import MBartTokenizer
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    specials = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")]
    ends = [*((code, 0.0) for code in FAIRSEQ_LANGUAGE_CODES), ("<mask>", 0.0)]
    words = [(f"▁w{i}", -5.0) for i in range(size - len(specials) - len(ends))]
    return MBartTokenizer(vocab=[*specials, *words, *ends])


def make_generator(decoding: str, device: str, small: bool, tokenizer: str = "none") -> SignGenerator:
    """With random weights; tokenizer: hash of the one whose codes it is to speak."""
    from transformers import MBartConfig, MBartModel

    torch.manual_seed(0)
    text_tokenizer = make_text_tokenizer(2_000 if small else TOKENS)
    sizes = dict(d_model=256, layers=3, heads=4) if small else dict(d_model=1024, layers=12, heads=16)
    config = MBartConfig(
        vocab_size=len(text_tokenizer), d_model=sizes["d_model"], encoder_layers=sizes["layers"],
        decoder_layers=sizes["layers"], encoder_attention_heads=sizes["heads"],
        decoder_attention_heads=sizes["heads"], encoder_ffn_dim=4 * sizes["d_model"],
        decoder_ffn_dim=4 * sizes["d_model"], scale_embedding=True,
    )
    settings = replace(load_config("configs/soke.yaml").generator, decoding=decoding, heads="tied")
    spec = GeneratorSpec(settings, ["ASL"], CODEBOOKS, tokenizer, {"ASL": 24.0})
    with torch.device(device):
        mbart = MBartModel(config)
    return SignGenerator(spec, mbart.to(device), text_tokenizer, {}).to(device).eval()


def texts(batch: int) -> list[str]:
    return [" ".join(f"w{(31 * sample + 7 * i) % 1500}" for i in range(WORDS)) for sample in range(batch)]


@torch.no_grad()
def naive(model: SignGenerator, sentences: list[str], steps: int) -> torch.Tensor:
    """Multi-head, greedy, without end: codes [B, steps, P]."""
    states, mask = model._sources(sentences, ["ASL"] * len(sentences))
    inputs, said = model._start(["ASL"] * len(sentences)), []
    for _ in range(steps):
        hidden = model.mbart.decoder(
            inputs_embeds=inputs, encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
        ).last_hidden_state
        scores = hidden[:, -1] @ model.mbart.shared.weight.T
        first = model.vocabulary.first_codes.tolist()
        said.append(
            torch.stack([scores[:, f : f + size].argmax(-1) for f, size in zip(first, CODEBOOKS.values())], dim=1)
        )
        inputs = torch.cat([inputs, model._inputs(said[-1][:, None])], dim=1)
    return torch.stack(said, dim=1)


def timed(function, device: str, repeats: int = 1):
    """The fastest of `repeats` runs, in seconds, and what the last one gave."""
    seconds = []
    for _ in range(repeats):
        _synchronize(device)
        begun = time.perf_counter()
        result = function()
        _synchronize(device)
        seconds.append(time.perf_counter() - begun)
    return min(seconds), result


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def fast(model: SignGenerator, sentences: list[str], steps: int) -> torch.Tensor:
    search = Search(min_steps=steps, max_steps=steps)
    return torch.stack(model.generate(sentences, ["ASL"] * len(sentences), search))


def floor(model: SignGenerator, device: str) -> float:
    """Seconds to read the decoder's weights once, at the bandwidth that copying shows."""
    bytes_read = sum(p.numel() * p.element_size() for p in model.mbart.decoder.layers.parameters())
    buffer = torch.ones(2**28, dtype=torch.uint8, device=device)
    target = torch.ones_like(buffer)
    seconds, _ = timed(lambda: target.copy_(buffer), device, 5)
    return bytes_read / (2 * buffer.numel() / seconds)  # a copy reads and writes


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--curve", action="store_true")
    parser.add_argument("--small", action="store_true", help="a small model, to try the script")
    parser.add_argument("--compile", action="store_true", help="decoder steps through torch.compile")
    options = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    failures = []

    def state(line: str, ratio: float, bound: float, at_most: bool = False) -> None:
        reached = ratio <= bound if at_most else ratio >= bound
        print(f"{line}  {'at most' if at_most else 'at least'} {bound:g}x: {'yes' if reached else 'NO'}")
        if not reached:
            failures.append(line)

    model = make_generator("multi_head", device, options.small)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    print(f"{millions:.0f} million weights, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    model.for_inference(compile=options.compile)
    fast(model, texts(1), 5)
    for batch, steps, bound in STATED:
        slow_seconds, slow_codes = timed(lambda: naive(model, texts(batch), steps), device)
        seconds, codes = timed(lambda: fast(model, texts(batch), steps), device, 2)
        same = torch.equal(slow_codes, codes)
        line = f"batch {batch} x {steps} steps: without cache {slow_seconds:.2f} s, here {seconds:.2f} s"
        state(f"{line}, same codes: {same}, {slow_seconds / seconds:.1f}x", slow_seconds / seconds, bound)
        if not same:
            failures.append("other codes than without cache")

    steps, base = 50, timed(lambda: fast(model, texts(1), 50), device, 3)[0]
    per_step = base / steps
    least = floor(model, device)
    print(f"a step at batch 1: {per_step * 1e3:.2f} ms, reading the weights takes {least * 1e3:.2f} ms: "
          f"{per_step / least:.2f}x the floor")
    for mode, bound in MODES.items():
        other = make_generator(mode, device, options.small)
        seconds, _ = timed(partial(fast, other, texts(1), steps), device, 3)
        state(f"{mode}: {seconds:.2f} s per video of {steps} codes, {seconds / base:.2f}x multi-head",
              seconds / base, bound, at_most=True)
        del other
    model.for_inference("bfloat16", options.compile)
    fast(model, texts(1), 5)
    seconds, _ = timed(lambda: fast(model, texts(1), steps), device, 3)
    print(f"bfloat16: {seconds:.2f} s per video, {base / seconds:.2f}x as fast as float32")
    if options.curve:
        for batch in (1, 2, 4, 8, 16, 32, 64, 128, 256):
            seconds, _ = timed(lambda: fast(model, texts(batch), steps), device, 2)
            print(f"batch {batch:3d}: {batch / seconds:8.2f} videos/s, {batch * steps / seconds:8.0f} steps/s")
    return 1 if options.check and failures else 0


if __name__ == "__main__":
    sys.exit(main())
