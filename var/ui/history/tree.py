"""The tree of branches: which image came from which, after which scale, as nested lists of small pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ...outputs.recipe import Recipe
from ..compare.grid import file_address
from .kept_runs import KeptRun

MAX_DEPTH = 20  # of what is drawn within each other
TITLE = "<h3>Branches</h3><p>Which image came from which. Click one to see it.</p>"


@dataclass(frozen=True)
class Place:
    """Where an image of the history is.

    Args:
        run: number of its run, the newest first.
        image: which of its images.
        file: its PNG.
        recipe: how it was made.
    """

    run: int
    image: int
    file: str
    recipe: Recipe


def tree_html(runs: Sequence[KeptRun]) -> str:
    """Return the trees of all images of which others are branches, the newest tree first; "" without any.

    Args:
        runs: of the history, the newest first.
    """
    places: dict[str, Place] = {}
    children: dict[str, list[Place]] = {}  # by the parent, the newest first
    for number, run in enumerate(runs):
        for index, (file, recipe) in enumerate(zip(run.files, run.recipes, strict=True)):
            place = Place(number, index, file, recipe)
            places.setdefault(recipe.id, place)
            if recipe.branch:
                children.setdefault(recipe.branch.parent, []).append(place)
    within = {place.recipe.id for siblings in children.values() for place in siblings}
    roots = [parent for parent in children if parent not in within]
    if not roots:
        return ""
    return f'{TITLE}<ul class="tree">{"".join(node(root, places, children) for root in roots)}</ul>'


def node(parent: str, places: Mapping[str, Place], children: Mapping[str, Sequence[Place]], depth: int = 0) -> str:
    """Return an image with its branches.

    Args:
        parent: id of the image.
        places: where each image is, by its id.
        children: the branches of each, by its id.
        depth: how many trees are around.
    """
    siblings = sorted(children[parent], key=lambda place: (-place.run, place.image))
    if parent in places:
        head = picture(places[parent]) + f"<b>{escape(places[parent].recipe.name)}</b>"
    else:
        head = f"<b>{escape(siblings[0].recipe.branch.parent_name)}</b> <span>no longer here</span>"
    forks: dict[tuple[int, str], list[Place]] = {}  # by the kept scales and the class
    for place in siblings:
        forks.setdefault((place.recipe.branch.keep_scales, place.recipe.class_name), []).append(place)
    lines = []
    for (keep_scales, name), branches in sorted(forks.items()):
        words = f"after scale {keep_scales} of {branches[0].recipe.num_scales}"
        parent_class = places[parent].recipe.class_name if parent in places else None
        words += f", as {escape(name or 'no class')}" if name != parent_class else ""
        inner = [
            node(place.recipe.id, places, children, depth + 1)
            for place in branches
            if place.recipe.id in children and depth < MAX_DEPTH
        ]
        nested = f"<ul>{''.join(inner)}</ul>" if inner else ""
        lines.append(f'<li><div class="fork"><span>{words}</span>{"".join(map(picture, branches))}</div>{nested}</li>')
    return f'<li><div class="parent">{head}</div><ul>{"".join(lines)}</ul></li>'


def picture(place: Place) -> str:
    """Return an image as a button that tells where it is."""
    return (
        f'<button type="button" data-run="{place.run}" data-image="{place.image}" '
        f'aria-label="{escape(place.recipe.name)}" title="{escape(place.recipe.name)}">'
        f'<img src="{file_address(place.file)}" alt="" loading="lazy"></button>'
    )
