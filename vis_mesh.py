"""Shows signing: a video and a contact sheet, or other files, of test clips beside their references or of a sentence.

python -m vis_mesh --cfg=configs/soke.yaml --demo_dataset=csl
python -m vis_mesh --cfg=configs/soke.yaml --text "It rains today." --language ASL
python -m vis_mesh --cfg=configs/soke.yaml --demo_dataset=csl --face
python -m vis_mesh --cfg=configs/soke.yaml --demo_dataset=csl --format html glb bvh
python -m vis_mesh --cfg=configs/signllm_prompt2langgloss.yaml --text "It rains today." --language ASL --show_lang_gloss
"""

from __future__ import annotations

from typing import Sequence

from soke.run import cli


def main(argv: Sequence[str] | None = None) -> None:
    parser = cli.parser("vis_mesh", __doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--demo_dataset", help="corpus of the clips, one of DATASET.CORPORA; default: the first")
    parser.add_argument("--clips", type=cli.positive, default=1, help="how many clips of TEST.SPLIT; default: 1")
    what.add_argument("--text", help="a sentence to sign in place of clips")
    parser.add_argument("--language", default="ASL", help="its sign language, one that the model has learnt; default: ASL")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--show_retrieval", action="store_true", help="print the lexicon's signs that were found for each sentence"
    )
    shown.add_argument(
        "--show_lang_gloss", action="store_true",
        help="print the prompt that is read of each sentence, and the LangGloss that is written before it is signed",
    )
    parser.add_argument(
        "--face", action="store_true",
        help="a close-up of the face with each figure, without forearms and hands; and of a clip with more than ten "
        "expression coefficients also what a fit of SMPL-X with ten would leave of its face",
    )
    parser.add_argument(
        "--format", nargs="+", action="extend", default=None, metavar="NAME",
        help="mp4 and png; or some of mp4, png, gif, poster, glb, html, bvh, pose, npz (soke/render/EXPORTS.md)",
    )
    parser.add_argument(
        "--frames", type=cli.numbers, default=(), metavar="3,10,24", help="of a poster; default: evenly spaced ones"
    )
    parser.add_argument("--out_dir", help="folder of the pictures; default: <RESULTS>/<NAME>/pictures")
    config, args = cli.parse(parser, argv)

    from soke.build.body import scored_body
    from soke.build.stages import producer_of, stage_of
    from soke.render import studio
    from soke.run import folders

    folder = folders.results_folder(config, args.out_dir, stage_of(config).model_keys, "pictures")
    drawn = studio.Studio(
        scored_body(config), folder, config.render.size, config.render.backend, args.face,
        args.format or studio.USUAL, args.frames,
    )
    producer = producer_of(config)
    explain = producer.retrieved if args.show_retrieval else producer.lang_gloss if args.show_lang_gloss else None
    if args.text is not None:
        paths = studio.sentence(drawn, producer, args.text, args.language, explain)
    else:
        from soke.build.data import corpora_of

        paths = studio.clips(
            drawn, producer, corpora_of(config), config.test.split, args.demo_dataset, args.clips, explain
        )
    print(*paths, sep="\n")


if __name__ == "__main__":
    cli.run(main)
