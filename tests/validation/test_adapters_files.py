"""arrays_of_torch_file: arrays come out, code does not run."""

import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
from safetensors.numpy import save_file  # noqa: E402

from refglow.validation.adapters import arrays_of_torch_file  # noqa: E402


def test_tensors_in_nested_containers_are_named_by_their_place(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"graph": {"a.weight": torch.ones(2, 3, dtype=torch.float64)}, "step": 7,
                "optim": {"state": [torch.zeros(1)]}, "half": torch.tensor([0.1]).half()}, path)
    arrays = arrays_of_torch_file(path)
    assert set(arrays) == {"graph.a.weight", "optim.state.0", "half"}
    assert arrays["graph.a.weight"].dtype == np.float64
    assert arrays["half"].dtype == np.float32 and arrays["half"] == np.float16(0.1)


def test_safetensors_and_npz(tmp_path):
    array = np.arange(6.0).reshape(2, 3)
    save_file({"x": array}, tmp_path / "a.safetensors")
    np.savez(tmp_path / "a.npz", x=array)
    for name in ("a.safetensors", "a.npz"):
        assert np.array_equal(arrays_of_torch_file(tmp_path / name)["x"], array)


class Program:
    """Runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["model.pt", "model.npz"])
def test_a_file_with_code_is_refused_and_the_code_does_not_run(tmp_path, name):
    ran, path = tmp_path / "ran", tmp_path / name
    if name.endswith("npz"):
        np.savez(path, x=np.array([Program(str(ran))], dtype=object))
    else:
        torch.save({"model": Program(str(ran))}, path)
    with pytest.raises(ValueError, match=rf"{name}: it (holds more than|is not an \.npz)"):
        arrays_of_torch_file(path)
    assert not ran.exists()


def test_what_is_no_such_file_is_said(tmp_path):
    for name in ("a.pt", "a.npz", "a.safetensors"):
        (tmp_path / name).write_bytes(b"something else")
        with pytest.raises(ValueError, match=name):
            arrays_of_torch_file(tmp_path / name)
        with pytest.raises(OSError, match=r"no such|No such"):
            arrays_of_torch_file(tmp_path / f"missing-{name}")
    (tmp_path / "number.pt").write_bytes(pickle.dumps(3))
    with pytest.raises(ValueError, match=r"number.pt"):
        arrays_of_torch_file(tmp_path / "number.pt")
    torch.save({"step": 3}, tmp_path / "empty.pt")
    with pytest.raises(ValueError, match="holds no arrays"):
        arrays_of_torch_file(tmp_path / "empty.pt")
