#include "hidreamer/formats/tensor_map.h"

#include <fmt/ranges.h>

#include <vector>

#include "hidreamer/base/error.h"

namespace hidreamer::formats {
namespace {

// At most this many differences are listed in an error.
constexpr size_t kListedDifferences = 12;

std::string Shape(const torch::Tensor& tensor) {
  const auto sizes = tensor.sizes();
  return fmt::format("({})", fmt::join(sizes.begin(), sizes.end(), ", "));
}

}  // namespace

TensorMap NamedState(const torch::nn::Module& module, const std::string& prefix) {
  TensorMap state;
  for (const auto& item : module.named_parameters()) {
    state.emplace(prefix + item.key(), item.value().detach());
  }
  for (const auto& item : module.named_buffers()) {
    state.emplace(prefix + item.key(), item.value().detach());
  }
  return state;
}

void LoadNamedState(torch::nn::Module& module, const TensorMap& state, const std::string& prefix) {
  torch::NoGradGuard no_grad;
  TensorMap own = NamedState(module);
  std::vector<std::string> differences;
  for (const auto& [name, target] : own) {
    const auto found = state.find(prefix + name);
    if (found == state.end()) {
      differences.push_back(fmt::format("missing {}{} {}", prefix, name, Shape(target)));
    } else if (found->second.sizes() != target.sizes()) {
      differences.push_back(fmt::format("{}{} is {}, expected {}", prefix, name,
                                        Shape(found->second), Shape(target)));
    } else if (found->second.is_floating_point() != target.is_floating_point()) {
      differences.push_back(fmt::format("{}{} has another kind of number ({})", prefix, name,
                                        toString(found->second.scalar_type())));
    }
  }
  for (auto it = state.lower_bound(prefix); it != state.end() && it->first.starts_with(prefix);
       ++it) {
    if (!own.contains(it->first.substr(prefix.size()))) {
      differences.push_back(fmt::format("unexpected {} {}", it->first, Shape(it->second)));
    }
  }
  if (!differences.empty()) {
    const size_t total = differences.size();
    if (total > kListedDifferences) {
      differences.resize(kListedDifferences);
      differences.push_back(fmt::format("and {} more", total - kListedDifferences));
    }
    throw UserError("weights of another model or another configuration?",
                    "the saved state does not fit the model: {}", fmt::join(differences, "; "));
  }
  for (auto& [name, target] : own) {
    target.copy_(state.at(prefix + name));
  }
}

TensorMap WithoutPrefix(const TensorMap& map, const std::string& prefix) {
  TensorMap result;
  for (auto it = map.lower_bound(prefix); it != map.end() && it->first.starts_with(prefix); ++it) {
    result.emplace(it->first.substr(prefix.size()), it->second);
  }
  return result;
}

void InsertWithPrefix(TensorMap& map, const TensorMap& entries, const std::string& prefix) {
  for (const auto& [name, tensor] : entries) {
    const bool inserted = map.emplace(prefix + name, tensor).second;
    HID_CHECK(inserted, "{}{} is there twice", prefix, name);
  }
}

int64_t CountParameters(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const auto& parameter : module.parameters()) {
    count += parameter.numel();
  }
  return count;
}

}  // namespace hidreamer::formats
