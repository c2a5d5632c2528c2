"""The card of a checkpoint on the Hub: what it is, in the words of `inspect`, and how to open it."""

import re
from html import escape
from typing import Any

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.report import describe
from ..hub.addresses import HubAddress
from ..sampling.options import has_several
from ..sampling.presets import own_settings
from .inspect import model_lines

LIBRARY = "var-demo"
PIPELINE_TAG = "unconditional-image-generation"  # the Hub's for all image models that take no text
TAGS = ("var", "image-generation", "next-scale-prediction")
PAPER = "https://arxiv.org/abs/2404.02905"
SHOWN_CLASSES = 1000
MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]|~])")


def model_card(checkpoint: Checkpoint, address: HubAddress, license: str | None = None) -> str:
    """Return the card, in Markdown with the front matter that the Hub reads.

    Args:
        checkpoint: what is pushed, a transformer with its VQVAE.
        address: of its file on the Hub.
        license: the Hub's short name of one, such as "mit"; None to name none.
    """
    from huggingface_hub import ModelCardData

    data = ModelCardData(license=license, library_name=LIBRARY, pipeline_tag=PIPELINE_TAG, tags=list(TAGS))
    size, num_classes = checkpoint.image_size, checkpoint.transformer[0].num_classes
    report = describe(checkpoint)
    return f"""---
{data.to_yaml()}
---

# {_plain(address.repo.partition("/")[2])}

A VAR model ([Visual AutoRegressive modeling, next-scale prediction]({PAPER})) of {size}×{size} images in \
{num_classes} {"class" if num_classes == 1 else "classes"}: the weights of the transformer and of its VQVAE in one file.

| | |
| --- | --- |
{_table(checkpoint, report)}

## Open it

With the VAR demo and its Python package `var`. On the page, which opens with this model:

    python app.py --preload {address}

or, while it runs, under *From the Hugging Face Hub*: `{address}`. In Python:

```python
from var import VARPipeline

pipe = VARPipeline.from_checkpoint("{address}")
pipe(class_labels=[0], seed=0).images[0].save("image.png")
```

On the command line:

    python -m var sample {address} --classes 0 --out images

## Classes

{_classes(report["class_names"], num_classes)}
"""


def _table(checkpoint: Checkpoint, report: dict[str, Any]) -> str:
    """The rows of what `inspect` says, and the sampling that the file asks for."""
    rows: list[tuple[str, list[str]]] = []
    for name, text in model_lines(report):
        if name:
            rows.append((name, []))
        rows[-1][1].append(_plain(text))
    own = own_settings(checkpoint.training, checkpoint.transformer[0].num_scales)
    if own:
        told = {name: " ".join(map(str, value)) if has_several(value) else value for name, value in own.items()}
        rows.append(("sampling", [_plain(", ".join(f"{name} {value}" for name, value in told.items()))]))
    return "\n".join(f"| {name} | {'<br>'.join(texts)} |" for name, texts in rows)


def _classes(names: list[str] | None, num_classes: int) -> str:
    if names is None:
        return f"The {num_classes} classes have no names; they are chosen by number, from 0 to {num_classes - 1}."
    lines = [f"    {label}  {name}" for label, name in enumerate(names[:SHOWN_CLASSES])]  # a block of code: no Markdown
    more = len(names) - len(lines)
    return "\n".join(lines) + (f"\n\nand {more:,} more, whose names are in the file." if more else "")


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return MARKDOWN_SIGNS.sub(r"\\\1", escape(text, quote=False))
