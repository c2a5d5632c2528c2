"""The recipe of an image: all that is needed to make it again, and how it travels inside the PNG."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from PIL import Image, PngImagePlugin

from .. import __version__
from ..checkpoints.hash import HASH_DIGITS
from ..device import DTYPES
from ..pipeline import VARPipeline
from ..sampling.options import SamplingOptions, option_names
from ..text import printable
from .branch import ID_DIGITS, Branch
from .settings_text import (
    MOST_DIGITS,
    NO_CLASS,
    OF_ANOTHER_PROGRAM,
    READABLE_NAMES,
    SAMPLER,
    values_of_readable,
    write_settings,
)

CHUNK = "var"  # the exact settings, as JSON
XMP_CHUNK = "XML:com.adobe.xmp"  # says in IPTC's words that the image is generated, for whoever has to label it
XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
    "<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/{}</Iptc4xmpExt:DigitalSourceType>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)
GENERATED, EDITED = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
READABLE_CHUNK = "parameters"  # the same in the form that other tools show
FORMAT = 1  # of the JSON; a higher one is of a newer program
FORMAT_KEY = "var_recipe"
MOST_LETTERS = 131_072  # of the JSON; ours has under a thousand, and some thousands where an image is a branch
MOST_SHOWN_LETTERS = 16_384  # of the text for people
MOST_NAME_LETTERS = 300
MOST_CLASSES = 1_000_000
MOST_SCALES = 100
MOST_HEADS = 65_536
MOST_PIXELS_A_SIDE = 65_536
HEX_DIGITS = "0123456789abcdef"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# names of the texts that other image generators write
SIGNS_OF_OTHERS = frozenset(
    ("parameters", "prompt", "workflow", "invokeai_metadata", "sd-metadata", "Dream", "fooocus_scheme")
)


@dataclass(frozen=True)
class Recipe:
    """All that is needed to make one image again.

    Args:
        options: of this image alone: one class, and its own seed as a tuple of one.
        class_name: of its class; "" for none.
        checkpoint: name of the file; a label, never a path to open.
        checkpoint_hash: `short_hash` of the file when it was loaded; "" where there was none.
        image_size: pixels per side.
        num_scales: scales of the image.
        device: kind of device, such as "cpu"; devices draw different numbers from the same seed.
        dtype: precision of the transformer, such as "float32".
        weights: "ema" or "raw" where the checkpoint has both; None otherwise.
        num_heads: attention heads that were given for the checkpoint; None where nobody did.
        vae: name of the file of a separate VQVAE; None where the checkpoint carries its own.
        vae_hash: `short_hash` of it.
        edited: whether a part of another image was kept; that image and the mask are not in the recipe.
        branch: what is kept of the image from which this one branches; None where it is none's branch.
        version: of this program.
    """

    options: SamplingOptions
    class_name: str
    checkpoint: str
    checkpoint_hash: str
    image_size: int
    num_scales: int
    device: str
    dtype: str
    weights: str | None = None
    num_heads: int | None = None
    vae: str | None = None
    vae_hash: str | None = None
    edited: bool = False
    branch: Branch | None = None
    version: str = __version__

    @cached_property
    def id(self) -> str:
        """What tells the image from others: 12 hexadecimal digits, the same for equal recipes."""
        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]

    @property
    def name(self) -> str:
        """What people call the image: its class and seed."""
        return f"{self.class_name or NO_CLASS}, seed {self.seed}"

    @property
    def class_label(self) -> int | None:
        """Index of the class; None for no class."""
        return self.options.class_labels[0]

    @property
    def seed(self) -> int:
        """Seed of this image alone."""
        return self.options.seeds[0]

    def check(self) -> None:
        """Raise ValueError unless every value is of its kind and in its range; for recipes of unknown origin."""
        for name in ("class_name", "checkpoint", "device", "version", "vae"):
            value = getattr(self, name)
            if value is None and name == "vae":
                continue
            if not isinstance(value, str) or len(value) > MOST_NAME_LETTERS or not value.isprintable():
                raise ValueError(f"{name} must be a line of text")
        for name in ("checkpoint_hash", "vae_hash"):
            value = getattr(self, name)
            if value and not (isinstance(value, str) and len(value) == HASH_DIGITS and set(value) <= set(HEX_DIGITS)):
                raise ValueError(f"{name} must be {HASH_DIGITS} hexadecimal digits")
        for name, most in (("image_size", MOST_PIXELS_A_SIDE), ("num_scales", MOST_SCALES)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= most:
                raise ValueError(f"{name} must be 1 to {most}")
        self.options.check(MOST_CLASSES, self.num_scales)
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}")
        if self.weights not in (None, "ema", "raw"):
            raise ValueError("weights must be ema or raw")
        if self.num_heads is not None and not (type(self.num_heads) is int and 1 <= self.num_heads <= MOST_HEADS):
            raise ValueError(f"num_heads must be 1 to {MOST_HEADS}")
        if not isinstance(self.edited, bool):
            raise ValueError("edited must be true or false")
        if self.branch is not None:
            self.branch.check(self.num_scales)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments with which a pipeline makes the image again."""
        first = {"first_tokens": self.branch.joined} if self.branch else {}
        return arguments_of(self.options) | first

    def as_dict(self) -> dict[str, Any]:
        """The recipe as plain values; `from_dict` reads it."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "options"}
        own["branch"] = self.branch and self.branch.as_dict()
        options = {name: getattr(self.options, name) for name in option_names()}
        return {FORMAT_KEY: FORMAT, "class_label": self.class_label, "seed": self.seed} | options | own

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Recipe":
        """The recipe of plain values from anywhere.

        What an older program did not know takes the value that it has there in effect: the default.

        Raises:
            ValueError: a value is missing, of another kind, or out of range; or a newer program wrote it.
        """
        version = values.get(FORMAT_KEY)
        if type(version) is int and version > FORMAT:
            raise ValueError("a newer version of this program wrote it")
        if version != FORMAT:
            raise ValueError(f"{FORMAT_KEY} is not {FORMAT}")
        own = {field.name for field in fields(cls) if field.name != "options"}
        try:
            shared = {name: tuple_of(values[name]) for name in option_names() if name in values}
            options = SamplingOptions(class_labels=(values["class_label"],), seed=(values["seed"],), **shared)
            given = {name: values[name] for name in own & values.keys()}
            if given.get("branch") is not None:
                given["branch"] = Branch.from_dict(given["branch"])
            recipe = cls(options=options, **given)
            recipe.check()
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"a value is missing or of another kind ({error})") from error
        return recipe


def arguments_of(options: SamplingOptions) -> dict[str, Any]:
    """The keyword arguments with which a pipeline follows these options."""
    return {field.name: getattr(options, field.name) for field in fields(options)}


def tuple_of(value: Any) -> Any:
    """A list of JSON as a tuple; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def make_recipes(
    pipe: VARPipeline, options: SamplingOptions, edited: bool = False, branch: Branch | None = None
) -> list[Recipe]:
    """The recipe of each image of a generation.

    Args:
        pipe: what made the images.
        options: of all of them; each image has a seed of its own, or is alone.
        edited: whether it was an edit.
        branch: what all of them keep of another image; None where they do not.

    Raises:
        ValueError: the images share one generator, so that none can be made again alone.
    """
    if not options.seeded_by_image and options.batch_size > 1:
        raise ValueError("images that share one seed have no recipe each; give a list of seeds")
    checkpoint, vae = pipe.checkpoint, pipe.vae_checkpoint
    common: dict[str, Any] = dict(
        checkpoint=printable(checkpoint.path.name) if checkpoint else "",
        checkpoint_hash=pipe.checkpoint_hash or "",
        image_size=pipe.image_size,
        num_scales=pipe.var.config.num_scales,
        device=pipe.device.type,
        dtype=str(pipe.dtype).removeprefix("torch."),
        weights=checkpoint.weights if checkpoint else None,
        num_heads=pipe.var.config.num_heads if checkpoint and checkpoint.heads_given else None,
        vae=printable(vae.path.name) if vae else None,
        vae_hash=pipe.vae_hash,
        edited=edited,
        branch=branch,
    )
    return [
        Recipe(
            options=replace(options, class_labels=(label,), seed=(seed,)),
            class_name="" if label is None else pipe.class_names[label],
            **common,
        )
        for label, seed in zip(options.class_labels, options.seeds, strict=True)
    ]


def readable(recipe: Recipe) -> str:
    """The recipe in the two lines that the "PNG info" of other tools take apart: the prompt, then `Name: value, …`."""
    settings = {"Steps": recipe.num_scales, "Sampler": SAMPLER, "Seed": recipe.seed}
    settings |= {shown: getattr(recipe.options, name) for name, shown in READABLE_NAMES.items()}
    settings |= {"Size": f"{recipe.image_size}x{recipe.image_size}"}
    settings |= {"Model hash": recipe.checkpoint_hash, "Model": Path(recipe.checkpoint).stem, "Weights": recipe.weights}
    settings |= {"Heads": recipe.num_heads}
    settings |= {"VAE hash": recipe.vae_hash, "VAE": recipe.vae and Path(recipe.vae).stem}
    settings |= {"Class": "none" if recipe.class_label is None else recipe.class_label}
    settings |= {"Precision": recipe.dtype, "Device": recipe.device, "Version": f"var {recipe.version}"}
    if recipe.edited:
        settings["Edited"] = True
    if recipe.branch:  # its tokens are in the other text alone
        settings |= {"Kept scales": recipe.branch.keep_scales, "Branch of": recipe.branch.parent_name}
    return write_settings(" ".join(recipe.class_name.split()) or NO_CLASS, settings)


def to_png_text(recipe: Recipe) -> PngImagePlugin.PngInfo:
    """The text chunks of an image: one for people and other tools, one that `from_png` reads, IPTC's mark."""
    info = PngImagePlugin.PngInfo()
    info.add_text(READABLE_CHUNK, readable(recipe))
    info.add_itxt(CHUNK, json.dumps(recipe.as_dict(), ensure_ascii=False, allow_nan=False))
    info.add_itxt(XMP_CHUNK, XMP.format(EDITED if recipe.edited else GENERATED))
    return info


def save_png(file: str | Path | BinaryIO, image: Image.Image, recipe: Recipe) -> None:
    """Write an image with its recipe inside; equal images and recipes give equal bytes."""
    image.save(file, format="PNG", pnginfo=to_png_text(recipe))


def png_bytes(image: Image.Image, recipe: Recipe) -> bytes:
    """What `save_png` writes."""
    buffer = BytesIO()
    save_png(buffer, image, recipe)
    return buffer.getvalue()


def name_of(recipe: Recipe) -> str:
    """The class of an image for people."""
    return recipe.class_name or NO_CLASS


def caption(recipe: Recipe) -> str:
    """The two lines below an image: class and seed."""
    return f"{name_of(recipe)}\nseed {recipe.seed}"


def from_png(source: str | Path | Image.Image) -> Recipe:
    """The recipe inside an image; its pixels are not decoded, and nothing but our own chunk is taken apart.

    Args:
        source: a PNG file, or an image that Pillow opened.

    Raises:
        ValueError: there is no recipe, or a damaged one, or it is of another program; one sentence or two.
        FileNotFoundError: there is no such file.
    """
    if isinstance(source, Image.Image):
        return from_texts(source.info)
    with open(source, "rb") as file:
        if file.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            raise ValueError(
                "This is not a PNG file, and only those carry their settings. Use the file as it was downloaded here."
            )
        file.seek(0)
        try:
            with Image.open(file, formats=["PNG"]) as image:
                texts = image.info
        except (OSError, ValueError, Image.DecompressionBombError) as error:  # ValueError: texts without bounds
            raise ValueError("The PNG file is damaged; its settings cannot be read.") from error
    return from_texts(texts)


def from_texts(texts: Mapping[Any, Any]) -> Recipe:
    """The recipe among the texts of an image; the errors are those of `from_png`.

    Some programs keep the text that others show and drop what they do not know; the first has all that is needed.
    """
    text, shown = texts.get(CHUNK), texts.get(READABLE_CHUNK)
    if isinstance(text, str):
        values = values_of_json(text)
    elif isinstance(shown, str) and len(shown) <= MOST_SHOWN_LETTERS:
        values = values_of_readable(shown) | {FORMAT_KEY: FORMAT}
    elif SIGNS_OF_OTHERS & texts.keys():
        raise ValueError(OF_ANOTHER_PROGRAM)
    else:
        raise ValueError(
            "There are no settings in this image. Editors and messengers remove them; use the file as it was saved."
        )
    try:
        return Recipe.from_dict(values)
    except ValueError as error:
        raise ValueError(f"The settings in this image are damaged or not of this program: {error}.") from error


def values_of_json(text: str) -> dict[str, Any]:
    """The plain values of our own chunk; raises ValueError where it is damaged."""
    if len(text) > MOST_LETTERS:
        raise ValueError("The settings in this image are damaged: they are too long.")
    try:
        values = json.loads(text, parse_constant=refuse, parse_int=whole)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError("The settings in this image are damaged: they are no JSON.") from error
    except ValueError as error:
        raise ValueError(f"The settings in this image are damaged: {error}.") from error
    if not isinstance(values, dict):
        raise ValueError("The settings in this image are damaged: they are no list of settings.")
    return values


def whole(digits: str) -> int:
    """A whole number; one that nothing here could mean is refused."""
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{digits[:MOST_DIGITS]}… is too large")
    return int(digits)


def refuse(constant: str) -> NoReturn:
    """Refuse what JSON does not have but Python's reader takes: NaN and Infinity."""
    raise ValueError(f"{constant} is no value")


def describe_differences(recipe: Recipe, checkpoint: str, checkpoint_hash: str) -> str:
    """What a person should know who restores a recipe for a checkpoint; "" where it is the same file."""
    if not recipe.checkpoint_hash or recipe.checkpoint_hash == checkpoint_hash:
        return ""
    if recipe.checkpoint == checkpoint:
        return f"The image was made with another version of {checkpoint} ({recipe.checkpoint_hash})."
    return f"The image was made with {recipe.checkpoint} ({recipe.checkpoint_hash}), not with {checkpoint}."
