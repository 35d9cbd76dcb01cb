"""Approximate rank pooling: a sequence as one weighted sum that keeps the direction of time.

Dynamic images and temporal pools both weigh frames so; neither torch nor numpy is needed.

Source: Bilen et al. 2016, "Dynamic Image Networks for Action Recognition" (CVPR), equation (3).
"""


def coefficients(frames: int) -> tuple[float, ...]:
    """Return the weight of each of T frames; they sum to 0, so that what stands still cancels.

    alpha_t = 2 (T - t + 1) - (T + 1) (H_T - H_{t-1}) for t = 1..T, H_n being the harmonic numbers.

    >>> coefficients(2)
    (-0.5, 0.5)
    """
    later = [sum(1 / n for n in range(t, frames + 1)) for t in range(1, frames + 1)]
    return tuple(
        2 * (frames - t + 1) - (frames + 1) * rest for t, rest in enumerate(later, start=1)
    )
