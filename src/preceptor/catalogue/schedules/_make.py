"""What the entries of schedules share."""

from __future__ import annotations

__all__ = ["BENGIO", "KIND", "SHAPES", "show"]

KIND = "schedule"
SHAPES = "multiplies the lr of every parameter group"
BENGIO = "Bengio, Practical Recommendations for Gradient-Based Training of Deep Architectures, 2012"


def show(name: str, rates: str, /, **options: object) -> str:
    """Return the example that prints the rate at the start of each of four epochs of ten steps."""
    chosen = "".join(f", {k}={v!r}" for k, v in options.items())
    return f"""
        >>> make = get({name!r}, kind='schedule'{chosen})
        >>> optimizer = get('sgd', lr=1.0)([torch.zeros(1, requires_grad=True)])
        >>> schedule = make(optimizer, total_steps=40, steps_per_epoch=10)
        >>> observed = []
        >>> for _ in range(40):
        ...     observed += schedule.get_last_lr()
        ...     _ = optimizer.step()
        ...     schedule.step()
        >>> [round(lr, 3) for lr in observed[::10]]
        {rates}
        """
