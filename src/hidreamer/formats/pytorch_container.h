#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "hidreamer/formats/pickle.h"

namespace hidreamer::formats {

// What a file of torch.save consists of: a description of the saved object, and the raw data of its
// tensors' storages by their keys.
struct PytorchContainer {
  Pickle pickle;
  std::map<std::string, std::shared_ptr<std::string>> storages;
};

// Opens the zip archives of PyTorch 1.6 and newer and the plain files before. Throws a user Error
// for a missing, damaged or truncated file and for one of another kind, which it names.
PytorchContainer OpenPytorchContainer(const std::filesystem::path& path);

// The type of a storage class, "torch FloatStorage"; nothing for one that is not read here.
std::optional<torch::Dtype> TypeOfStorage(const std::string& name);

}  // namespace hidreamer::formats
