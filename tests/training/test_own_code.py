"""A user's own code: found, called, named; and its failures told with their place."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from preceptor.errors import ConfigError, DataError, ModelError, OutOfMemory
from preceptor.training.own_code import guarded, import_model, is_out_of_memory, make_model, name_of


class Net(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(width, 2)


def fails() -> None:
    raise ZeroDivisionError("by naught\nand more")


class TestGuarded:
    def test_says_what_and_where(self) -> None:
        with (
            pytest.raises(
                ModelError,
                match=r"it broke[\s\S]*ZeroDivisionError: by naught \(test_own_code.py, line 2\d\)",
            ) as caught,
            guarded("it broke", hint="mend it"),
        ):
            fails()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert (caught.value.hint, "and more" in str(caught.value)) == ("mend it", False)

    def test_errors_of_ours_pass_unchanged(self) -> None:
        error = DataError("bad data")
        with pytest.raises(DataError) as caught, guarded("it broke"):
            raise error
        assert caught.value is error

    def test_another_kind(self) -> None:
        with pytest.raises(ConfigError, match="it broke"), guarded("it broke", kind=ConfigError):
            fails()

    def test_what_is_no_failure_passes(self) -> None:
        with pytest.raises(KeyboardInterrupt), guarded("it broke"):
            raise KeyboardInterrupt

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes"),
        ],
    )
    def test_out_of_memory(self, error: Exception) -> None:
        assert is_out_of_memory(error)
        with pytest.raises(OutOfMemory, match="it broke: out of memory"), guarded("it broke"):
            raise error

    def test_what_is_not_out_of_memory(self) -> None:
        assert not is_out_of_memory(RuntimeError("shapes do not match"))
        assert not is_out_of_memory(ValueError("not enough memory"))
        assert not is_out_of_memory(OutOfMemory("said already"))


class TestMakeModel:
    def test_from_a_module_a_class_or_a_function(self) -> None:
        net = Net()
        assert make_model(net, {}) is net
        assert make_model(Net, {"width": 7}).layer.in_features == 7
        assert make_model(lambda width: Net(width + 1), {"width": 7}).layer.in_features == 8

    def test_options_that_it_does_not_take(self) -> None:
        with pytest.raises(ModelError, match=r"cannot be made[\s\S]*unexpected keyword argument 'depth'"):
            make_model(Net, {"depth": 2})

    @pytest.mark.parametrize("wrong", [dict, lambda: None, lambda: Net])
    def test_what_is_no_module(self, wrong: object) -> None:
        with pytest.raises(ModelError, match=r"not a torch.nn.Module[\s\S]*expected  nn.Module"):
            make_model(wrong, {})


class TestImport:
    def test_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "my net.py").write_text("from torch import nn\nclass Mine(nn.Linear):\n    pass\n")
        model = import_model(f"{tmp_path}/my net.py:Mine")
        assert issubclass(model, nn.Linear)
        assert name_of(model) == "my net:Mine"
        del sys.modules["my net"]

    def test_from_a_module(self) -> None:
        assert import_model("torch.nn:Linear") is nn.Linear

    @pytest.mark.parametrize(
        ("reference", "message"),
        [
            ("/no/such/file.py:Net", "no file '/no/such/file.py'"),
            ("no_such_module:Net", "No module named"),
            ("torch.nn:NoSuchLayer", "torch.nn has no 'NoSuchLayer'"),
            ("torch.nn:", "torch.nn has no "),
            ("net.py", "Empty module name"),
            (".relative:Net", "relative"),
            ("", "Empty module name"),
        ],
    )
    def test_what_is_not_there(self, reference: str, message: str) -> None:
        with pytest.raises(
            ModelError, match=rf"cannot import[\s\S]*file.py:Name or package.module:Name[\s\S]*{message}"
        ):
            import_model(reference)

    @pytest.mark.parametrize("text", ["1/0", "def (:", "import no_such_module"])
    def test_a_file_that_fails_says_where(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "broken_net.py").write_text(f"x = 1\n{text}\n")
        with pytest.raises(ModelError, match=r"cannot import[\s\S]*(broken_net.py, line 2|invalid syntax)"):
            import_model(f"{tmp_path}/broken_net.py:Net")
        assert "broken_net" not in sys.modules

    def test_two_files_of_one_name(self, tmp_path: Path) -> None:
        for folder, width in (("a", 1), ("b", 2)):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "same_name.py").write_text(
                f"WIDTH = {width}\ndef net():\n    return WIDTH\n"
            )
        made = [import_model(f"{tmp_path}/{folder}/same_name.py:net")() for folder in "ab"]
        assert made == [1, 2]
        del sys.modules["same_name"]


def test_names() -> None:
    assert name_of(Net) == name_of(Net()) == f"{__name__}:Net"
    assert name_of(fails) == f"{__name__}:fails"
    assert name_of(torch.optim.SGD) == "torch.optim.sgd:SGD"
    assert name_of(functools.partial(Net, 3)) == "functools:partial"
