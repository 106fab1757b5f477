#pragma once

#include <torch/torch.h>

#include <map>
#include <string>

namespace hidreamer::formats {

// Named tensors: the form in which weights and states are saved, loaded and compared.
using TensorMap = std::map<std::string, torch::Tensor>;

// Parameters and buffers of a module under their dotted names, detached, sharing storage with it.
TensorMap NamedState(const torch::nn::Module& module, const std::string& prefix = "");

// Copies values into the module's parameters and buffers. Strict: every name must be there with the
// same shape; throws a user Error that lists all that is missing, unexpected or of another shape.
// Entries of `state` outside `prefix` are not looked at. Floating types are converted.
void LoadNamedState(torch::nn::Module& module, const TensorMap& state,
                    const std::string& prefix = "");

// Entries whose name starts with prefix, without it.
TensorMap WithoutPrefix(const TensorMap& map, const std::string& prefix);
void InsertWithPrefix(TensorMap& map, const TensorMap& entries, const std::string& prefix);

int64_t CountParameters(const torch::nn::Module& module);

}  // namespace hidreamer::formats
