"""Writes tests/golden/pytorch: small files of torch.save, each beside the same tensors as safetensors.

Usage: python3 tools/export/make_fixtures.py DIR
"""
import argparse
import collections
import os
import pathlib
import sys

import numpy
import torch

import hid_safetensors


class Malicious:
    def __reduce__(self):
        return os.system, ("touch /tmp/hidreamer-executed-a-pickle",)


def main(directory):
    directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)

    def write(name, value, tensors, zipped=True):
        torch.save(value, directory / f"{name}.pt", _use_new_zipfile_serialization=zipped)
        hid_safetensors.save(directory / f"{name}.safetensors", tensors)

    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    state = module.state_dict()  # an OrderedDict with _metadata
    write("state_dict", state, state)

    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(4, 3)).sum().backward()
    optimizer.step()
    module.load_state_dict(state)
    checkpoint = {"epoch": 3, "model_state_dict": {"module." + k: v.clone() for k, v in hid_safetensors.load(
        directory / "state_dict.safetensors")[0].items()}, "loss": 0.25, "best": None, "done": True,
        "optimizer_state_dict": optimizer.state_dict(), "history": [1, -2, 2**40, "täglich"]}
    flat = {"model_state_dict." + k: v for k, v in checkpoint["model_state_dict"].items()}
    for index, entry in checkpoint["optimizer_state_dict"]["state"].items():
        for key, value in entry.items():
            if torch.is_tensor(value):
                flat[f"optimizer_state_dict.state.{index}.{key}"] = value
    write("checkpoint", checkpoint, flat)

    types = {str(d).split(".")[1]: torch.arange(5).to(d) for d in hid_safetensors.NAMES}
    types["scalar"] = torch.tensor(2.5)
    types["empty"] = torch.zeros(0, 3)
    types["parameter"] = torch.nn.Parameter(torch.ones(2))
    write("types", collections.OrderedDict(types), types)
    write("old_types", collections.OrderedDict(types), types, zipped=False)  # before PyTorch 1.6

    base = torch.arange(24.0).reshape(4, 6)
    strided = {"transposed": base.t(), "slice": base[1:3, 2:5], "step": base[:, ::2], "shared": base}
    write("strided", strided, strided)
    write("old_strided", strided, strided, zipped=False)

    torch.save({"w": torch.ones(1), "x": Malicious()}, directory / "malicious.pt")
    torch.save(torch.nn.Linear(2, 2), directory / "module.pt")
    torch.save(torch.nn.Linear(2, 2), directory / "old_module.pt", _use_new_zipfile_serialization=False)
    inner = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = torch.optim.swa_utils.AveragedModel(inner, avg_fn=max)
    averaged.module[1].register_buffer("scratch", torch.ones(1), persistent=False)
    write("nested_module", averaged, {k.replace("module.", ""): v for k, v in averaged.state_dict().items()})

    weights = {"w": torch.ones(1)}
    torch.save({"weights": weights, "losses": numpy.zeros(3)}, directory / "with_numpy.pt")
    torch.save({"weights": weights, "args": argparse.Namespace(lr=1.0)}, directory / "with_namespace.pt")
    odd = {"w": torch.ones(1), "complex": torch.ones(1, dtype=torch.complex64), "sparse": torch.eye(2).to_sparse(),
           "quantized": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}
    torch.save(odd, directory / "odd_tensors.pt")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
