"""``preceptor env``."""

from __future__ import annotations

from preceptor.cli._say import echo

__all__ = ["env"]


def env() -> None:
    """Show versions, devices, and which extras are installed."""
    import torch

    from preceptor.report.terminal import line
    from preceptor.training.manifest import extras, versions

    for name, version in versions().items():
        echo(line("", f"{name:<14}{version}"))
    devices = [
        "cpu",
        *(f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())),
    ]
    if torch.backends.mps.is_available():
        devices.append("mps")
    echo(line("devices", ", ".join(devices)))
    for extra, missing in extras().items():
        state = f"missing {', '.join(missing)}: pip install 'preceptor[{extra}]'" if missing else "installed"
        echo(line("extra", f"{extra:<14}{state}"))
