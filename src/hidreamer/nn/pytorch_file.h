#pragma once

#include <filesystem>

#include "hidreamer/nn/tensor_map.h"

namespace hidreamer::nn {

// All tensors of a PyTorch file (torch.save of a state dict, or of nested dicts and lists of such,
// PyTorch 1.6 or newer) under their dotted path: {"model_state_dict": {"w": …}} gives
// "model_state_dict.w". Nothing in the file is executed. Throws a user Error for a missing, corrupt
// or truncated file and for one that holds anything but plain data and tensors.
TensorMap LoadPytorchFile(const std::filesystem::path& path);

// The weights of the one model in `file`, without what training wraps around the names:
// "model_state_dict." (also state_dict, encoder_state_dict, model, …) and "module." or "_orig_mod."
// in front of every name. Optimizer states are left out.
TensorMap ModelWeights(const TensorMap& file);

}  // namespace hidreamer::nn
