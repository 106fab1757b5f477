"""The networks of hidreamer in plain PyTorch, with the same names as in our safetensors files.

Each takes and gives what its C++ counterpart does (src/hidreamer/{encoder,tokenizer,world_model}), so a model trained
here can be used, checked or exported further (ONNX, TorchScript) where Python has torch.
"""
import json
import math

import torch
from torch import nn
from torch.nn import functional as F

import hid_safetensors


class Encoder(nn.Module):
    """Frames (B,4,84,84) u8 -> unit vectors (B,D)."""

    def __init__(self, stack=4, width=384):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(stack, 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2), nn.ReLU(),
                                     nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten())
        self.projection = nn.Sequential(nn.Linear(3136, 512), nn.ReLU(), nn.Linear(512, width), nn.LayerNorm(width))

    def forward(self, frames):
        return F.normalize(self.projection(self.encoder(frames.float() / 255)), dim=1, eps=1e-12)


class CodebookLevel(nn.Module):
    def __init__(self, codes, dim):
        super().__init__()
        self.codebook = nn.Embedding(codes, dim)
        self.register_buffer("ema_cluster_size", torch.ones(codes))
        self.register_buffer("ema_weight", self.codebook.weight.detach().clone())


class ResidualQuantizer(nn.Module):
    """Vectors (N,D) -> codes (N,L), and back to the sum of the codewords."""

    def __init__(self, dim=384, levels=3, codes=256):
        super().__init__()
        self.vq_layers = nn.ModuleList(CodebookLevel(codes, dim) for _ in range(levels))

    def encode(self, z):
        codes = []
        for level in self.vq_layers:
            weight = level.codebook.weight
            distance = z.pow(2).sum(1, keepdim=True) - 2 * z @ weight.t() + weight.pow(2).sum(1)
            codes.append(distance.argmin(1))
            z = z - level.codebook(codes[-1])
        return torch.stack(codes, 1)

    def decode(self, codes):
        return sum(level.codebook(codes[:, i]) for i, level in enumerate(self.vq_layers))

    forward = encode


class Embedding(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.token_embeds = nn.ModuleList(nn.Embedding(o["codes"], o["width"]) for _ in range(o["levels"]))
        self.action_embed = nn.Embedding(o["actions"], o["width"])
        self.level_embed = nn.Embedding(o["levels"] + 1, o["width"])
        self.pos_embed = nn.Embedding(o["max_steps"] * (o["levels"] + 1), o["width"])

    def forward(self, tokens, actions):
        parts = [embed(tokens[..., i]) for i, embed in enumerate(self.token_embeds)] + [self.action_embed(actions)]
        x = torch.stack(parts, 2) + self.level_embed.weight  # (B,T,K,D)
        x = x.flatten(1, 2)
        return x + self.pos_embed.weight[:x.shape[1]]


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x, mask):
        q, k, v = (F.linear(x, self.in_proj_weight, self.in_proj_bias).unflatten(2, (3, self.heads, -1))
                   .permute(2, 0, 3, 1, 4))  # (B,heads,P,d) each
        scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
        return self.out_proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, o):
        super().__init__()
        width = o["width"]
        self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, o["heads"])
        self.ffn = nn.Sequential(nn.Linear(width, o["ffn_width"]), nn.GELU(), nn.Identity(),
                                 nn.Linear(o["ffn_width"], width))

    def forward(self, x, mask):
        x = x + self.attn(self.ln1(x), mask)
        return x + self.ffn(self.ln2(x))


def attention_mask(kind, levels, positions):
    """(P,P) bool, [query,key], true = may attend (world_model/mask.h)."""
    index = torch.arange(positions)
    slot, step = index % (levels + 1), index // (levels + 1)
    may = (slot == 0) | (slot == levels)  # past keys that every query sees
    may = may.expand(positions, positions)
    if kind == "reference":
        may = may | (slot == 0)[:, None]
    elif kind == "causal":
        may = torch.ones_like(may)
    return (index[None] <= index[:, None]) & (may | (step[:, None] == step[None]))


class WorldModel(nn.Module):
    """tokens (B,T,L), actions (B,T) -> hidden (B,T*K,D) and L logits (B,T,V)."""

    def __init__(self, o):
        super().__init__()
        self.options = o
        self.embedding = Embedding(o)
        self.blocks = nn.ModuleList(Block(o) for _ in range(o["layers"]))
        self.ln_final = nn.LayerNorm(o["width"])
        for level in range(o["levels"]):
            setattr(self, f"headl{level}", nn.Linear(o["width"], o["codes"]))

    def forward(self, tokens, actions):
        levels = self.options["levels"]
        x = self.embedding(tokens, actions)
        mask = attention_mask(self.options["mask"], levels, x.shape[1]).to(x.device)
        for block in self.blocks:
            x = block(x, mask)
        hidden = self.ln_final(x)
        slots = hidden.unflatten(1, (-1, levels + 1))
        # level 0 is predicted at the action (of the next step), level l at level l-1
        logits = [getattr(self, f"headl{level}")(slots[:, :, level - 1]) for level in range(levels)]
        return hidden, logits


def build(state, metadata):
    """The module that a state (names -> tensors) and its metadata describe, with the weights loaded."""
    if "encoder.0.weight" in state:
        module = Encoder(state["encoder.0.weight"].shape[1], state["projection.2.weight"].shape[0])
    elif "vq_layers.0.codebook.weight" in state:
        codes, dim = state["vq_layers.0.codebook.weight"].shape
        module = ResidualQuantizer(dim, sum(name.endswith("codebook.weight") for name in state), codes)
    elif "embedding.token_embeds.0.weight" in state:
        module = WorldModel(json.loads(metadata["options"]))
    else:
        raise SystemExit("these are not the weights of an encoder, a quantizer or a world model")
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return module.eval()


def load(path):
    return build(*hid_safetensors.load(path))
