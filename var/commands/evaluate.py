"""`python -m var evaluate`: quality of a checkpoint against the images it was trained on."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from ..errors import DataError
from ..evaluation.measure import SampleSettings, measure
from ..pictures.images import contact_sheet, to_pil
from ..training.data import load_data
from ..training.report import show
from .opening import add_model_arguments, open_pipeline


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", metavar="FILE", help="checkpoint: a path, or hf://owner/repo/path/in/repo")
    parser.add_argument("data", type=Path, help="the images that it was trained on, as `train` takes them")
    parser.add_argument("--per-class", type=int, default=10, metavar="N", help="samples of each class (10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first sample (0)")
    parser.add_argument("--cfg-scale", type=float, default=4.0, help="guidance of the samples (4)")
    parser.add_argument("--top-k", type=int, default=900, help="top-k of the samples (900)")
    parser.add_argument("--top-p", type=float, default=0.95, help="top-p of the samples (0.95)")
    parser.add_argument("--classifier-epochs", type=int, default=12, metavar="N", help="passes of the classifier (12)")
    parser.add_argument("--val-fraction", type=float, default=0.1, help="held out where DATA has no split (0.1)")
    add_model_arguments(parser)
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="write the samples as one picture, a class a row")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> None:
    """Measure, and print the figures."""
    if args.per_class < 1 or args.classifier_epochs < 1:
        raise ValueError("--per-class and --classifier-epochs must be at least 1.")
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
    pipeline = open_pipeline(args.file, args)
    size = pipeline.image_size
    data = load_data(args.data, size, size, args.val_fraction, workers=4, progress=show)
    if len(data.class_names) > pipeline.var.config.num_classes:
        raise DataError(
            f"{args.data} has {len(data.class_names)} classes, {args.file} knows {pipeline.var.config.num_classes}; "
            "give the images that it was trained on."
        )
    known = pipeline.checkpoint.class_names
    if known is not None and data.class_names != known[: len(data.class_names)]:
        raise DataError(
            f"{args.data} has other classes than {args.file} ({data.class_names[:3]} …, not {known[:3]} …); give the "
            "images that it was trained on."
        )
    if not len(data.val):
        raise DataError(f"{args.data} has no held-out images; give some in val/, or a --val-fraction above 0.")
    settings = SampleSettings(args.per_class, args.seed, args.cfg_scale, args.top_k, args.top_p)
    figures, samples = measure(pipeline, data, settings, classifier_epochs=args.classifier_epochs, progress=show)
    if args.sheet:
        contact_sheet(to_pil(samples), columns=args.per_class, gap=2).save(args.sheet, format="PNG")
    if args.json:
        print(json.dumps(asdict(figures), indent=1))
        return
    worst = ", ".join(f"{name} {share:.0%}" for name, share in figures.worst_classes.items()) or "none"
    print(f"reconstruction of {len(data.val)} held-out images   {figures.psnr:.2f} dB PSNR")
    print(f"classifier on held-out images                {figures.real_accuracy:.1%} named as they should")
    print(f"classifier on {figures.num_samples} samples                    {figures.sample_accuracy:.1%}")
    print(f"least recognized classes                     {worst}")
    print("difference to the nearest training image     (median; smallest)")
    print(f"  samples                                    {figures.sample_distance:.4f}; {figures.closest_sample:.4f}")
    print(
        f"  held-out images                            {figures.held_out_distance:.4f}; {figures.closest_held_out:.4f}"
    )
    print(f"  held-out images, reconstructed             {figures.reconstruction_distance:.4f}")
