"""Turns our safetensors files into PyTorch state dicts and back.

Usage: python3 tools/export/convert.py model.safetensors model.pt      (our options go into model.pt.json)
       python3 tools/export/convert.py model.pt model.safetensors
"""
import json
import pathlib
import sys

import torch

import hid_safetensors
import models


def to_pytorch(source, target):
    state, metadata = hid_safetensors.load(source)
    torch.save(models.build(state, metadata).state_dict(), target)
    pathlib.Path(f"{target}.json").write_text(json.dumps(metadata))


def to_safetensors(source, target):
    state = torch.load(source, map_location="cpu")
    note = pathlib.Path(f"{source}.json")
    hid_safetensors.save(target, state, json.loads(note.read_text()) if note.exists() else None)


def main(source, target):
    if source.endswith(".safetensors"):
        to_pytorch(source, target)
    else:
        to_safetensors(source, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
