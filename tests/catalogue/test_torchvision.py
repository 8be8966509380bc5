"""Equal outputs with torchvision's networks under copied weights, where torchvision can be imported."""

from __future__ import annotations

import pytest
import torch

from preceptor.catalogue import get

try:  # a torchvision that was built for another torch raises RuntimeError
    from torchvision import models
except (ImportError, RuntimeError) as error:
    pytest.skip(f"torchvision cannot be imported: {error}", allow_module_level=True)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("resnet-18", "resnet18"),
        ("resnet-34", "resnet34"),
        ("resnet-50", "resnet50"),
        ("resnext-50-32x4d", "resnext50_32x4d"),
        ("wide-resnet-50-2", "wide_resnet50_2"),
        ("densenet-121", "densenet121"),
        ("densenet-161", "densenet161"),
    ],
)
def test_outputs_are_equal_under_copied_weights(name: str, theirs: str):
    torch.manual_seed(0)
    other = getattr(models, theirs)(weights=None).eval()
    ours = get(name, (3, 64, 64), 1000).eval()
    copied = dict(zip(ours.state_dict(), other.state_dict().values(), strict=True))  # in the same order
    ours.load_state_dict(copied)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), other(x), rtol=1e-4, atol=1e-5)
