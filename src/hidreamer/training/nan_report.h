#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "hidreamer/training/learner.h"

namespace hidreamer::training {

// The first number of an update's metrics, or the first loss of an epoch's, that is NaN or
// infinite;
// "" where none is.
std::string FirstNonFinite(const nlohmann::json& metrics);
std::string FirstNonFiniteLoss(const nlohmann::json& epoch);
// The first tensor of a state that holds one.
std::string FirstNonFinite(const formats::TensorMap& state);

// Saves what is needed to look into an update that went wrong, and throws a user Error that tells
// of it:
//   directory/nan_update_N/update.json  the number's name, the update, the checkpoint before it,
//                                       from which the update can be made again to the bit
//   directory/nan_update_N/batch.safetensors  what the update learned from, where it can be drawn
// An empty directory: nothing is saved.
[[noreturn]] void StopAtNonFinite(Learner& learner, const std::filesystem::path& directory,
                                  int64_t update, const std::string& number);

}  // namespace hidreamer::training
