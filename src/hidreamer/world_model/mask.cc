#include "hidreamer/world_model/mask.h"

#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::world_model {

std::string MaskName(MaskKind kind) {
  switch (kind) {
    case MaskKind::kReference:
      return "reference";
    case MaskKind::kStrict:
      return "strict";
    case MaskKind::kCausal:
      return "causal";
  }
  HID_CHECK(false, "mask kind {}", static_cast<int>(kind));
  return {};
}

MaskKind MaskFromName(const std::string& name) {
  for (const MaskKind kind : {MaskKind::kReference, MaskKind::kStrict, MaskKind::kCausal}) {
    if (name == MaskName(kind)) {
      return kind;
    }
  }
  throw UserError("the masks are reference, strict and causal", "no attention mask '{}'", name);
}

bool MayAttend(const TokenLayout& layout, MaskKind kind, int64_t query, int64_t key) {
  const int64_t per_step = layout.positions_per_step();
  if (key > query) {
    return false;
  }
  if (key / per_step == query / per_step || kind == MaskKind::kCausal) {
    return true;
  }
  const int64_t key_slot = key % per_step;
  if (key_slot < layout.places || key_slot == layout.action_slot()) {
    return true;
  }
  return kind == MaskKind::kReference && query % per_step < layout.places;
}

torch::Tensor AttentionMask(const TokenLayout& layout, MaskKind kind, int64_t positions,
                            torch::Device device) {
  torch::Tensor mask = torch::empty({positions, positions}, torch::kBool);
  auto cells = mask.accessor<bool, 2>();
  for (int64_t query = 0; query < positions; ++query) {
    for (int64_t key = 0; key < positions; ++key) {
      cells[query][key] = MayAttend(layout, kind, query, key);
    }
  }
  return mask.to(device);
}

}  // namespace hidreamer::world_model
