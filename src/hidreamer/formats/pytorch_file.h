#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "hidreamer/formats/tensor_map.h"

namespace hidreamer::formats {

struct PytorchFile {
  // Under their dotted path: {"model_state_dict": {"w": …}} gives "model_state_dict.w"; a whole
  // module gives the names of its state dict.
  TensorMap tensors;
  // Tensors that were passed over, with what they are (sparse, quantized, of another type).
  std::map<std::string, std::string> unread;
};

// All tensors of a file of torch.save, the format before PyTorch 1.6 included. They are looked for
// in dicts, lists and the attributes of objects; everything else is passed over unread, and nothing
// in the file is ever executed. Throws a user Error for a missing, damaged or truncated file, and
// for a file of another kind, which it names.
PytorchFile LoadPytorchFile(const std::filesystem::path& path);

// `file` without the parts of names that wrappers of parallel, averaged and compiled models add:
// "module." and "_orig_mod.".
TensorMap WithoutWrappers(const TensorMap& file);

// Every prefix under which all of `names` are in `file`, for {"w", "b"} perhaps "model_state_dict."
// and "ema.". The usual names of a model's own weights come first, then the shortest.
std::vector<std::string> PrefixesOf(const TensorMap& file, const std::vector<std::string>& names);

}  // namespace hidreamer::formats
