#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "hidreamer/nn/tensor_map.h"

// Checkpoints of one training stage: directories CHECKPOINTS/step_NNNNNNNNN of state.safetensors
// (Learner::State()) and state.json, each written whole or not at all.
namespace hidreamer::pipeline {

struct Checkpoint {
  int64_t updates = 0;      // updates done
  nn::TensorMap state;      // Learner::State()
  nlohmann::json identity;  // config hash, seed, threads, precision, versions
};

// Writes the checkpoint and removes all but the last two.
void SaveCheckpoint(const std::filesystem::path& checkpoints, const Checkpoint& checkpoint);

// The newest checkpoint that is whole (a checksum guards the state); damaged ones are reported as
// warnings and passed over. None: nothing there, or nothing whole.
std::optional<Checkpoint> LoadNewestCheckpoint(const std::filesystem::path& checkpoints);

}  // namespace hidreamer::pipeline
