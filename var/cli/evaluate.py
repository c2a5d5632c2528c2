"""`python -m var evaluate`: quality of a checkpoint against the images it was trained on."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from ..device import describe
from ..errors import DataError
from ..evaluation.figures import ClassFigures, Figures
from ..evaluation.measure import SampleSettings, measure
from ..pictures.pixels import to_pil
from ..pictures.sheets import Grid, Headers, grid_sheet
from ..pipeline import VARPipeline
from ..sampling.options import SamplingOptions
from ..text import clean_name, one_line
from ..training.data import ImageData
from ..training.loading import load_data
from ..training.report import show
from .model_arguments import add_model_arguments, open_pipeline, refuse_existing
from .sampling_arguments import add_sampling_arguments, sampling_settings

MAX_ROWS = 20  # classes printed
USAGE = "FILE DATA [options]"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="checkpoint: a path, or hf://owner/repo/path/in/repo")
    parser.add_argument(
        "data", type=Path, metavar="DATA", help="the images that it was trained on, as `train` takes them"
    )
    parser.add_argument("--per-class", type=int, default=10, metavar="N", help="samples of each class (10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sample, and of the classifier (0)")
    add_sampling_arguments(parser)
    parser.add_argument("--classifier-epochs", type=int, default=6, metavar="N", help="passes of the classifier (6)")
    parser.add_argument("--val-fraction", type=float, default=0.1, help="held out where DATA has no split (0.1)")
    add_model_arguments(parser)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="write the samples as one picture, a class a row")
    parser.add_argument("--overwrite", action="store_true", help="replace the picture of --sheet that is there already")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, every class among them")


def run(args: argparse.Namespace) -> None:
    """Measure, and print the figures."""
    if args.per_class < 1 or args.classifier_epochs < 1:
        raise ValueError("--per-class and --classifier-epochs must be at least 1.")
    if args.sheet:
        refuse_existing(args.sheet, args.overwrite)
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
    pipeline = open_pipeline(args.file, args)
    sampling = sampling_settings(args, pipeline.own_settings)
    config = pipeline.var.config
    last_seed = args.seed + config.num_classes * args.per_class - 1
    SamplingOptions([0, 0], [args.seed, last_seed], **sampling).check(config.num_classes, config.num_scales)
    size = pipeline.image_size
    data = load_data(args.data, size, size, args.val_fraction, workers=4, progress=show)
    check_data(data, pipeline, args)
    for notice in data.notices:
        print(one_line(notice), file=sys.stderr)
    pictures: list[Image.Image] = []
    figures = measure(
        pipeline,
        data,
        SampleSettings(args.per_class, args.seed, sampling),
        classifier_epochs=args.classifier_epochs,
        progress=show,
        on_samples=(lambda images: pictures.extend(to_pil(images))) if args.sheet else (lambda _: None),
    )
    if args.sheet:
        rows = [pictures[i : i + args.per_class] for i in range(0, len(pictures), args.per_class)]
        names = [clean_name(name) for name in data.class_names]
        grid_sheet([Grid(rows)], Headers(), Headers(labels=names)).save(args.sheet, format="PNG")
    if args.json:
        how = {
            "sampling": sampling,
            "seed": args.seed,
            "per_class": args.per_class,
            "classifier_epochs": args.classifier_epochs,
            "device": describe(pipeline.device, pipeline.dtype),
        }
        print(json.dumps({**asdict(figures), "settings": how}, indent=1))
        return
    print("\n".join([*summary(figures), "", *class_table(figures.classes)]))


def check_data(data: ImageData, pipeline: VARPipeline, args: argparse.Namespace) -> None:
    """Raise DataError for images that the checkpoint was not trained on, or without any held out."""
    if len(data.class_names) > pipeline.var.config.num_classes:
        raise DataError(
            f"{args.data} has {len(data.class_names)} classes, {args.file} knows {pipeline.var.config.num_classes}; "
            "give the images that it was trained on."
        )
    known = pipeline.checkpoint.class_names if pipeline.checkpoint else None
    if known is not None and data.class_names != known[: len(data.class_names)]:
        raise DataError(
            f"{args.data} has other classes than {args.file} ({data.class_names[:3]} …, not {known[:3]} …); give the "
            "images that it was trained on."
        )
    if not len(data.val):
        raise DataError(f"{args.data} has no held-out images; give some in val/, or a --val-fraction above 0.")


def summary(figures: Figures) -> list[str]:
    """The figures of all classes together, a line each."""
    frechet = "too few images"
    if figures.frechet_ratio is not None:
        frechet = (
            f"samples {figures.frechet_samples:.2f}, training images {figures.frechet_train:.2f}: "
            f"{figures.frechet_ratio:.2f} times"
        )
    rows = [
        (f"reconstruction of {figures.num_held_out} held-out images", f"{figures.psnr:.2f} dB PSNR"),
        *(
            (f"  distance in {name}", f"{of.reconstructed:.4f}; of half the size and back {of.halved:.4f}")
            for name, of in figures.perceptual.items()
        ),
        ("classifier on held-out images", f"{figures.real_accuracy:.1%} named as they should"),
        (
            f"classifier on {figures.num_samples} samples",
            f"{figures.sample_accuracy:.1%}, {figures.accuracy_ratio:.3f} of the held-out images' share",
        ),
        (f"Fréchet distance to held-out images, {figures.frechet_images} each", frechet),
        ("difference to the nearest training image", "(median; smallest)"),
        ("  samples", f"{figures.sample_distance:.4f}; {figures.closest_sample:.4f}"),
        ("  held-out images", f"{figures.held_out_distance:.4f}; {figures.closest_held_out:.4f}"),
        ("  held-out images, reconstructed", f"{figures.reconstruction_distance:.4f}"),
    ]
    width = max(len(label) for label, _ in rows) + 3
    return [f"{label:<{width}}{text}" for label, text in rows]


def class_table(classes: list[ClassFigures]) -> list[str]:
    """The classes with samples that are not recognized, least first, and how many others there are."""
    lacking = sorted((of for of in classes if of.sample_accuracy < 1), key=lambda of: of.sample_accuracy)
    shown = lacking[:MAX_ROWS]
    width = max((len(clean_name(of.name)) for of in shown), default=0) + 2
    lines = [f"{'class':<{width}}samples  held-out  taken for"] if shown else []
    for of in shown:
        real = "–" if of.real_accuracy is None else f"{of.real_accuracy:.0%}"
        lines.append(f"{clean_name(of.name):<{width}}{of.sample_accuracy:>7.0%}  {real:>8}  {of.taken_for}")
    if len(lacking) > len(shown):
        lines.append(f"{len(lacking) - len(shown)} more classes with samples that are not recognized: --json has all")
    lines.append(f"{len(classes) - len(lacking)} of {len(classes)} classes: every sample is recognized")
    return lines
