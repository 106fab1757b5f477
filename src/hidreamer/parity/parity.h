#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/formats/tensor_map.h"

// Compares this implementation with recorded numbers of the reference (PyTorch): weights and inputs
// are loaded, the same quantities computed and held against the recorded outputs, each within its
// recorded tolerance.
//   DIR/parity.json -> components -> NAME -> {config, inputs, outputs: {NAME: {abs_tol | exact |
//   informative, compare_with}}}
//   DIR/NAME.weights.safetensors, DIR/NAME.io.safetensors
// All sizes come from `config`: any recording in this format can be checked.
namespace hidreamer::parity {

// The verdict on one recorded output.
struct ParityRow {
  std::string component;
  std::string output;
  double max_difference = 0;  // largest absolute difference; for exact outputs, differing elements
  double tolerance = 0;       // largest allowed; 0 for exact outputs
  bool exact = false;
  bool informative = false;  // has no tolerance in the recording; never fails
  bool pass = false;
  std::string note;  // why it failed without a number: wrong shape, not computed, …
};

// One component of a recording.
class ParityComponent {
 public:
  // Throws a user Error if the recording lacks the component or a file is missing or malformed.
  ParityComponent(const std::filesystem::path& directory, const std::string& name);

  const std::string& name() const { return name_; }
  const std::filesystem::path& directory() const { return directory_; }
  const nlohmann::json& spec() const { return spec_; }  // the whole entry
  const nlohmann::json& config() const { return spec_.at("config"); }
  const formats::TensorMap& weights() const { return weights_; }  // f16 widened to f32

  // An input tensor, f16 widened to f32, other types as stored. Throws a user Error if missing.
  torch::Tensor Input(const std::string& input) const;

  // Holds `value` against the recorded output `output`: same shape, and within its tolerance.
  // Any floating type; compared in f64. Integers and booleans compare by value.
  ParityRow Compare(const std::string& output, const torch::Tensor& value) const;

 private:
  std::string name_;
  std::filesystem::path directory_;
  nlohmann::json spec_;
  formats::TensorMap weights_, io_;
};

// Components with a check, in the order they are run.
std::vector<std::string> CheckedComponents();

// Runs the check of one component, or of all. Each recorded output gives exactly one row: an output
// that a check does not compute is a failed row.
std::vector<ParityRow> CheckComponent(const std::filesystem::path& directory,
                                      const std::string& name);
std::vector<ParityRow> CheckAll(const std::filesystem::path& directory);

// One check a file; each returns a row for every output it computes.
std::vector<ParityRow> CheckEncoder(const ParityComponent& component);
std::vector<ParityRow> CheckHrvq(const ParityComponent& component);
std::vector<ParityRow> CheckWorldModel(const ParityComponent& component);
std::vector<ParityRow> CheckPolicy(const ParityComponent& component);
std::vector<ParityRow> CheckWindowIndex(const ParityComponent& component);

}  // namespace hidreamer::parity
