"""``preceptor env``."""

from __future__ import annotations

import typer

__all__ = ["env"]

_EXTRAS = {"tables": ("pandas", "pyarrow"), "bench": ("lightning", "skorch", "ignite", "keras")}


def env() -> None:
    """Show versions, devices, and which extras are installed."""
    from importlib.util import find_spec

    import torch

    from preceptor.report.terminal import line
    from preceptor.training.manifest import versions

    for name, version in versions().items():
        typer.echo(line("", f"{name:<14}{version}"))
    devices = [
        "cpu",
        *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())),
    ]
    if torch.backends.mps.is_available():
        devices.append("mps")
    typer.echo(line("devices", ", ".join(devices)))
    for extra, packages in _EXTRAS.items():
        missing = [p for p in packages if find_spec(p) is None]
        state = f"missing {', '.join(missing)}: pip install 'preceptor[{extra}]'" if missing else "installed"
        typer.echo(line("extra", f"{extra:<14}{state}"))
