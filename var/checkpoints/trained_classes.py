"""Which class rows of a transformer look trained: trainers of this family fix 1000 classes whatever their data has.

A row that no image ever used gets no gradient, so AdamW only scales it, by one factor for all such rows. Untrained rows
therefore stay what they were drawn as, independent normal numbers of one common scale, and that can be tested:

- the squared norm of a row over the common variance is chi-squared, with as many degrees of freedom as columns;
- a row has nothing in common with the row of "no class", with the mean of the trained rows, or with any other row;
- all columns are alike.

Rows are told apart by the first two. What remains as untrained is then tested as a whole, where a thousand small
deviations add up: this is what keeps a model whose classes are all trained from being taken for another.

Measured after the limits below were fixed, on models and draws that had no part in choosing them:

- 27 stages of 7 small models trained with AdamW (widths 64 to 256, 10 to 200 of 100 to 1000 classes occurring): 6
  claims. 4 are exact, 2 miss one of 12 trained classes. The other stages have no claim: all classes occur, or the rows
  have not moved clearly yet.
- 2 of these models with all classes trained, and 200 random parts of them: no claim.
- 2630 random initializations: no claim.
- Trained rows of these 2 models and of the model in the box (used before, too) among simulated untrained rows:
  of a tenth of their norm, 540 of 540 exact; of half their norm, 355 exact, 177 without a claim, 8 that miss trained
  rows; of 0.8 to 1.0 times their norm, mostly no claim, and more than half of the few claims miss trained rows.

So what is called trained is: in none of these was an untrained row called trained. A class that is not called trained
may still have learned something, so it should be offered later, not withheld. Wider models (512, 1024) and a decay of
up to 0.5 were tried while the limits were chosen; official weights were not at hand.

Letters: R classes, D width, U rows that look untrained.
"""

import math

import torch
from torch import Tensor

MIN_COLUMNS = 16  # in narrower rows there is too little to test
MIN_UNTRAINED = 5  # fewer untrained rows could as well be odd trained ones
FEW_UNTRAINED = 30  # as a group too few to say much, so that all others have to be clearly different, and larger
WINDOW = 4.0  # half the width of a first guess, in standard deviations of log squared norms
MAX_ROW_SCORE = 4.75  # standard deviations; one untrained row in a million is beyond
CLEAR_SCORE = 6.5  # from here on a row is different without doubt
DOUBTFUL_SCORE = 3.5  # from here on a row is odd; so are more than two of 1000 untrained ones in 1 of 500 models
MAX_BY_CHANCE = 2
MAX_DOUBTFUL = 0.1  # odd rows per trained row; where there are more, the training was too short to tell all
MAX_GROUP_SCORE = 4.0
MAX_COMPARED = 400  # rows compared in pairs, to stay within milliseconds
MAX_GUESSES = 6
MAX_ROUNDS = 8


def trained_classes(class_rows: Tensor) -> tuple[int, ...] | None:
    """The classes whose rows look trained, where the others look untrained.

    Args:
        class_rows: `class_emb.weight`, floating (R + 1, D); the last row is "no class", which is trained always.

    Returns:
        Class indices, ascending, at least one and at most R - 5. None where it cannot be told: all classes are trained,
        none is, fewer than 5 are not, the training was short, or the numbers are not those of a model.
    """
    rows = _comparable(class_rows)
    if rows is None:
        return None
    units = rows / rows.norm(dim=1, keepdim=True)  # (R + 1, D)
    rows, units, null = rows[:-1], units[:-1], units[-1]
    energy = rows.square().sum(1)  # (R,)
    everything = torch.ones(len(rows), dtype=torch.bool)
    alone = _shared_direction_scores(units, null, everything).abs().amax(1) < MAX_ROW_SCORE  # (R,)
    for _ in range(MAX_GUESSES):
        guess = _densest(energy, alone, rows.shape[1])
        if int(guess.sum()) < MIN_UNTRAINED:
            return None
        untrained, scores = _settle(energy, units, null, guess)
        if _is_convincing(rows, units, untrained, scores):
            return tuple((~untrained).nonzero().flatten().tolist())
        alone = alone & ~guess & ~untrained
    return None


def _comparable(class_rows: Tensor) -> Tensor | None:
    """The rows as float32 on the CPU, of about unit scale; None where there is nothing to compare."""
    if class_rows.ndim != 2 or not class_rows.is_floating_point():
        return None
    if class_rows.shape[0] < MIN_UNTRAINED + 2 or class_rows.shape[1] < MIN_COLUMNS:
        return None
    rows = class_rows.detach().to("cpu", torch.float32)
    largest = rows.abs().amax(1)
    if not bool(largest.isfinite().all()) or not bool((largest > 0).all()):
        return None
    rows = rows / largest.median()
    norms = rows.norm(dim=1)
    return rows if bool(norms.isfinite().all()) and bool((norms > 0).all()) else None


def _densest(energy: Tensor, allowed: Tensor, columns: int) -> Tensor:
    """Of the allowed rows those whose norms are as close as untrained ones' are, around where most are: bool (R,)."""
    logs = energy.log()
    candidates = logs[allowed].sort().values
    if len(candidates) == 0:
        return allowed
    width = 2 * WINDOW * math.sqrt(2 / columns)
    counts = torch.searchsorted(candidates, candidates + width, right=True) - torch.arange(len(candidates))
    lowest = candidates[counts.argmax()]
    return allowed & (logs >= lowest) & (logs <= lowest + width)


def _settle(energy: Tensor, units: Tensor, null: Tensor, untrained: Tensor) -> tuple[Tensor, Tensor]:
    """From a first guess to rows that look untrained beside all others.

    Args:
        energy: squared norms (R,).
        units: rows of norm 1 (R, D).
        null: the row of "no class", of norm 1 (D,).
        untrained: bool (R,).

    Returns:
        The better guess, bool (R,), none where it came to no rest; and how far each row is from untrained (R,).
    """
    columns = units.shape[1]
    for _ in range(MAX_ROUNDS):
        variance = energy[untrained].median() / (columns * (1 - 2 / (9 * columns)) ** 3)  # by the median of chi-squared
        norms = chi_squared_score(energy / variance, columns)  # (R,)
        parts = torch.cat((norms.unsqueeze(1), _shared_direction_scores(units, null, ~untrained)), dim=1)
        scores = chi_squared_score(parts.square().sum(1), parts.shape[1])  # (R,)
        before, untrained = untrained, scores < MAX_ROW_SCORE
        if torch.equal(untrained, before):
            return untrained, scores
        if not bool(untrained.any()):
            break
    return torch.zeros_like(untrained), scores


def _shared_direction_scores(units: Tensor, null: Tensor, others: Tensor) -> Tensor:
    """What rows have in common with "no class", and with the mean of other rows beyond that.

    Args:
        units: rows of norm 1 (R, D).
        null: the row of "no class", of norm 1 (D,).
        others: which rows make up the mean, bool (R,); a row is not compared with itself.

    Returns:
        (R, 2), or (R, 1) where there are fewer than two others; standard normal for untrained rows.
    """
    along_null = units @ null  # (R,)
    scale = math.sqrt(units.shape[1])
    if int(others.sum()) < 2:
        return along_null.unsqueeze(1) * scale
    own = others.to(units.dtype)
    total = own @ units  # (D,)
    shared = units @ total  # (R,)
    mean_along_null = total @ null - own * along_null  # (R,) of the sum without the row itself
    length = (total @ total - own * (2 * shared - 1) - mean_along_null.square()).clamp_min(1e-6).sqrt()  # (R,)
    along_mean = (shared - own - mean_along_null * along_null) / length  # (R,)
    return torch.stack((along_null, along_mean), dim=1) * scale


def _is_convincing(rows: Tensor, units: Tensor, untrained: Tensor, scores: Tensor) -> bool:
    """Whether the rows that look untrained do so as a group, and the others clearly do not.

    Args:
        rows: (R, D).
        units: the same of norm 1.
        untrained: bool (R,).
        scores: how far each row is from untrained (R,).
    """
    number = int(untrained.sum())
    if number < MIN_UNTRAINED or number == len(rows):
        return False
    norms = rows.norm(dim=1)
    are_smaller = bool(norms[untrained].median() < norms[~untrained].median())  # nothing but decay has moved them
    doubtful = int((scores[~untrained] < CLEAR_SCORE).sum())
    hidden = int((scores[untrained] > DOUBTFUL_SCORE).sum())
    most = MAX_DOUBTFUL * (len(rows) - number)
    if doubtful > most or hidden > most + MAX_BY_CHANCE:
        return False
    if number < FEW_UNTRAINED and (doubtful or not are_smaller):
        return False
    return max(_group_scores(rows[untrained], units[untrained])) < MAX_GROUP_SCORE


def _group_scores(rows: Tensor, units: Tensor) -> list[float]:
    """How far rows (U, D) are from independent normal numbers of one scale, in standard deviations, by four measures.

    These are the spread of norms, the spread of the columns' scales, the columns' means, and the cosines of pairs.
    """
    number, columns = rows.shape
    rows = rows / rows.square().mean().sqrt()
    energy = rows.square()
    norms = (energy.sum(1) - columns).square().sum().item() / (2 * columns)
    scales = (energy.sum(0) - number).square().sum().item() / (2 * number)
    means = rows.sum(0).square().sum().item() / number
    chosen = units[torch.linspace(0, number - 1, min(number, MAX_COMPARED)).round().long()]
    cosines = chosen @ chosen.T
    pairs = len(chosen) * (len(chosen) - 1) / 2
    squares = (cosines.square().sum().item() - len(chosen)) / 2
    squares_variance = 2 * (columns - 1) / (columns**2 * (columns + 2))  # of the squared cosine of two directions
    return [  # a normal number's square has variance 2; a chi-squared number's, standardized, 12 / degrees more
        (norms - (number - 1)) / math.sqrt(number * (2 + 12 / columns)),
        (scales - columns) / math.sqrt(columns * (2 + 12 / number)),
        (means - columns) / math.sqrt(2 * columns),
        (squares - pairs / columns) / math.sqrt(pairs * squares_variance),
    ]


def chi_squared_score(values: Tensor, degrees: int) -> Tensor:
    """Chi-squared numbers as standard normal ones, by the cube root of Wilson and Hilferty (1931)."""
    spread = 2 / (9 * degrees)
    return ((values / degrees) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)
