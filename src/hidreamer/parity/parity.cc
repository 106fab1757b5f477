#include "hidreamer/parity/parity.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::parity {
namespace {

using nlohmann::json;

struct Check {
  std::string name;
  std::function<std::vector<ParityRow>(const ParityComponent&)> run;
};

const std::vector<Check>& Checks() {
  static const std::vector<Check> checks = {
      {"encoder", CheckEncoder},          {"hrvq", CheckHrvq},
      {"world_model", CheckWorldModel},   {"policy", CheckPolicy},
      {"window_index", CheckWindowIndex},
  };
  return checks;
}

// Half precision is a storage format here: everything is computed in f32.
formats::TensorMap Widened(formats::TensorMap tensors) {
  for (auto& [name, tensor] : tensors) {
    if (tensor.scalar_type() == torch::kFloat16) {
      tensor = tensor.to(torch::kFloat32);
    }
  }
  return tensors;
}

json ReadRecording(const std::filesystem::path& directory) {
  const auto path = directory / "parity.json";
  try {
    return json::parse(ReadFile(path)).at("components");
  } catch (const json::exception& error) {
    throw UserError("a directory of recorded numbers as described in src/hidreamer/parity/parity.h",
                    "cannot read {}: {}", path.string(), error.what());
  }
}

std::string Shape(const torch::Tensor& tensor) {
  return fmt::format("({})", fmt::join(tensor.sizes().vec(), ", "));
}

ParityRow NotComputed(const ParityComponent& component, const std::string& output) {
  const json& spec = component.spec().at("outputs").at(output);
  ParityRow row;
  row.component = component.name();
  row.output = output;
  row.tolerance = spec.value("abs_tol", 0.0);
  row.exact = spec.value("exact", false);
  row.informative = spec.value("informative", false);
  row.pass = row.informative;
  row.note = row.informative ? "not recomputed" : "not computed";
  return row;
}

}  // namespace

ParityComponent::ParityComponent(const std::filesystem::path& directory, const std::string& name)
    : name_(name), directory_(directory) {
  const json components = ReadRecording(directory);
  if (!components.contains(name)) {
    throw UserError("", "the recording in {} has no component '{}'", directory.string(), name);
  }
  spec_ = components.at(name);
  io_ = Widened(formats::LoadSafetensors(directory / (name + ".io.safetensors")).tensors);
  const auto weights = directory / (name + ".weights.safetensors");
  for (const auto& file : spec_.value("files", json::array())) {
    if (file == weights.filename().string()) {
      weights_ = Widened(formats::LoadSafetensors(weights).tensors);
    }
  }
}

torch::Tensor ParityComponent::Input(const std::string& input) const {
  const auto found = io_.find(input);
  if (found == io_.end()) {
    throw UserError("", "the recording in {} lacks the input {} of {}", directory_.string(), input,
                    name_);
  }
  return found->second;
}

ParityRow ParityComponent::Compare(const std::string& output, const torch::Tensor& value) const {
  HID_CHECK(spec_.at("outputs").contains(output), "{} has no recorded output {}", name_, output);
  const json& spec = spec_.at("outputs").at(output);
  ParityRow row = NotComputed(*this, output);
  row.note.clear();
  const torch::Tensor expected = Input(spec.value("compare_with", output)).to(torch::kFloat64);
  const torch::Tensor actual = value.detach().to(torch::kCPU, torch::kFloat64);
  if (actual.sizes() != expected.sizes()) {
    row.pass = false;
    row.note = fmt::format("shape {}, recorded {}", Shape(actual), Shape(expected));
    return row;
  }
  const torch::Tensor difference = (actual - expected).abs();
  if (row.exact) {
    row.max_difference = static_cast<double>(difference.ne(0).sum().item<int64_t>());
  } else if (difference.numel() > 0) {
    row.max_difference = difference.max().item<double>();  // not a number if any element is
  }
  row.pass = row.informative || row.max_difference <= row.tolerance;
  return row;
}

std::vector<std::string> CheckedComponents() {
  std::vector<std::string> names;
  for (const Check& check : Checks()) {
    names.push_back(check.name);
  }
  return names;
}

std::vector<ParityRow> CheckComponent(const std::filesystem::path& directory,
                                      const std::string& name) {
  const auto check = std::find_if(Checks().begin(), Checks().end(),
                                  [&](const Check& candidate) { return candidate.name == name; });
  if (check == Checks().end()) {
    throw UserError(fmt::format("one of {}", fmt::join(CheckedComponents(), ", ")),
                    "no parity check for '{}'", name);
  }
  const ParityComponent component(directory, name);
  std::map<std::string, ParityRow> computed;
  try {
    for (ParityRow& row : check->run(component)) {
      const bool first = computed.emplace(row.output, row).second;
      HID_CHECK(first, "{} {} was compared twice", name, row.output);
    }
  } catch (const json::exception& error) {
    throw UserError("", "the recording in {} is incomplete: {}: {}", directory.string(), name,
                    error.what());
  }
  std::vector<ParityRow> rows;
  for (const auto& [output, spec] : component.spec().at("outputs").items()) {
    const auto found = computed.find(output);
    rows.push_back(found == computed.end() ? NotComputed(component, output) : found->second);
  }
  return rows;
}

std::vector<ParityRow> CheckAll(const std::filesystem::path& directory) {
  std::vector<ParityRow> rows;
  const json components = ReadRecording(directory);
  for (const auto& [name, spec] : components.items()) {
    const std::vector<ParityRow> more = CheckComponent(directory, name);
    rows.insert(rows.end(), more.begin(), more.end());
  }
  return rows;
}

}  // namespace hidreamer::parity
