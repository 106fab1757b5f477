"""Checks the Python mirror against recorded numbers, and the way of weights through .pt files and back.

Usage: python3 tools/export/mirror_test.py PARITY_DIR [HIDREAMER]
With the program given, its import and export are part of the way. Exit code 77: torch is not there, nothing was checked.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
except ImportError:
    sys.exit(77)

import convert
import hid_safetensors
import models


def world_model_metadata(config):
    options = {"levels": config["positions_per_step"] - 1, "codes": config["codes"], "actions": config["actions"],
               "width": config["d_model"], "layers": config["layers"], "heads": config["heads"],
               "ffn_width": config["d_ff"], "dropout": config["dropout"], "mask": "reference",
               "max_steps": config["max_positions"] // config["positions_per_step"]}
    return {"kind": "world_model", "options": json.dumps(options)}


def check(name, value, recorded, spec):
    difference = (value.double() - recorded.double()).abs().max().item()
    allowed = spec.get("abs_tol", 0)
    assert difference <= allowed, f"{name}: difference {difference}, allowed {allowed}"
    print(f"{name}: difference {difference:.1e}, allowed {allowed:.1e}")


def computed(component, module, io):
    """{recorded output: the mirror's value}."""
    if component == "encoder":
        return {"embeddings": module(io["frames"])}
    if component == "hrvq":
        return {"tokens": module.encode(io["vectors"].float()), "decoded": module.decode(io["decode_tokens"])}
    hidden, logits = module(io["tokens"], io["actions"])
    return {"hidden": hidden, **{f"logits_l{level}": value for level, value in enumerate(logits)}}


def check_round_trip(component, state, metadata, module, program, directory):
    ours, theirs, back = (directory / f"{component}{end}" for end in (".safetensors", ".pt", ".back.safetensors"))
    hid_safetensors.save(ours, state, metadata)
    convert.main(str(ours), str(theirs))
    if program:
        stage = directory / component
        heads = ["--heads", str(module.options["heads"])] if component == "world_model" else []
        subprocess.run([program, "import", theirs, "--out", stage, *heads], check=True)
        subprocess.run([program, "export", stage, "--out", back], check=True)
    else:
        convert.main(str(theirs), str(back))
    returned, returned_metadata = hid_safetensors.load(back)
    assert returned.keys() == state.keys(), returned.keys() ^ state.keys()
    for name, tensor in state.items():
        assert torch.equal(tensor, returned[name]), name
    models.build(returned, returned_metadata)


def main(parity, program=None):
    components = json.loads((parity / "parity.json").read_text())["components"]
    for component in ("encoder", "hrvq", "world_model"):
        spec = components[component]
        state, _ = hid_safetensors.load(parity / f"{component}.weights.safetensors")
        state = {name: tensor.float() for name, tensor in state.items()}
        io, _ = hid_safetensors.load(parity / f"{component}.io.safetensors")
        metadata = world_model_metadata(spec["config"]) if component == "world_model" else {}
        module = models.build(state, metadata)
        with torch.no_grad():
            for output, value in computed(component, module, io).items():
                recorded = spec["outputs"][output]
                check(f"{component} {output}", value, io[recorded.get("compare_with", output)], recorded)
        with tempfile.TemporaryDirectory() as directory:
            check_round_trip(component, state, metadata, module, program, pathlib.Path(directory))
        print(f"{component}: weights come back to the bit")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:3])
