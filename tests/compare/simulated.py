"""Comparisons whose truth is known: simulated pairs of rounds."""

import numpy as np

from triton_users.compare.ratios import confidence_of, judged, paired

MEASURES, ROUNDS, MARGIN = 9, 12, 0.05


def comparison(seed: int, slower: float, noise: float = 0.04) -> list[str]:
    """The answers for the measures of one comparison of twelve pairs of rounds, whose noise they share in part."""
    draw = np.random.default_rng(seed)
    found = []
    rounds = draw.standard_t(4, (2, ROUNDS)) * noise / 2
    for _ in range(MEASURES):
        own = draw.standard_t(4, (2, ROUNDS)) * noise / 2
        a, b = np.exp(rounds + own)
        ratio = paired(list(a), list(b * slower), confidence_of(MEASURES))
        found.append(judged(ratio, MARGIN, less_is_better=True).answer)
    return found
