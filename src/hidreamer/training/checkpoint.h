#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "hidreamer/formats/tensor_map.h"

// Checkpoints of one training stage: directories CHECKPOINTS/step_NNNNNNNNN of state.safetensors
// (Learner::State()) and state.json, each written whole or not at all.
namespace hidreamer::training {

struct Checkpoint {
  int64_t updates = 0;       // updates done
  formats::TensorMap state;  // Learner::State()
  nlohmann::json identity;   // config hash, seed, threads, precision, versions
  double seconds = 0;        // that the updates took, over all calls; older versions kept none
};

// Writes the checkpoint and removes all but the last `kept`.
void SaveCheckpoint(const std::filesystem::path& checkpoints, const Checkpoint& checkpoint,
                    size_t kept = 2);

// The newest checkpoint that is whole (a checksum guards the state). Newer ones that are damaged
// are renamed to step_N.damaged, with a warning. Nothing there: none. Throws a user Error, and
// leaves all files as they are, where checkpoints are there but none is whole, or where the newest
// cannot be read for another reason: a newer version wrote it, no permission.
std::optional<Checkpoint> LoadNewestCheckpoint(const std::filesystem::path& checkpoints);

// Updates done by the newest checkpoint, whether it is whole or not; 0: there is none.
int64_t UpdatesOfNewestCheckpoint(const std::filesystem::path& checkpoints);

}  // namespace hidreamer::training
