#pragma once

#include <torch/torch.h>

#include <string>

#include "hidreamer/world_model/token_layout.h"

namespace hidreamer::world_model {

// Who attends to whom. A key never lies after its query; within a step every earlier position and
// the query itself are visible; of past steps (L0: the coarsest code of any place):
//   query \ key      past L0, past ACTION    past L1, L2, …
//   kReference  L0   yes                     yes
//               else yes                     no
//   kStrict     any  yes                     no
//   kCausal     any  yes                     yes
enum class MaskKind { kReference, kStrict, kCausal };

std::string MaskName(MaskKind kind);  // "reference", "strict", "causal"
// Throws a user Error for any other name.
MaskKind MaskFromName(const std::string& name);

// Whether position `query` may attend to position `key` (positions count from 0, K a step).
bool MayAttend(const TokenLayout& layout, MaskKind kind, int64_t query, int64_t key);

// (P, P) bool, [query, key], true = may attend; P = positions, any number (the last step may be
// incomplete).
torch::Tensor AttentionMask(const TokenLayout& layout, MaskKind kind, int64_t positions,
                            torch::Device device = torch::kCPU);

}  // namespace hidreamer::world_model
