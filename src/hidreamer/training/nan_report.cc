#include "hidreamer/training/nan_report.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <exception>
#include <map>
#include <vector>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/new_directory.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/training/checkpoint.h"

namespace hidreamer::training {
namespace fs = std::filesystem;

namespace {

const DirectoryKind kReport = {.name = "the report of a NaN",
                               .manifest = "update.json",
                               .is_ours = [](const std::string&) { return true; },
                               .files = {"batch.safetensors"}};

bool IsNonFinite(const nlohmann::json& value) {
  return value.is_number_float() && !std::isfinite(value.get<double>());
}

}  // namespace

std::string FirstNonFinite(const nlohmann::json& metrics) {
  for (const auto& [name, value] : metrics.items()) {
    if (IsNonFinite(value)) {
      return name;
    }
  }
  return {};
}

std::string FirstNonFiniteLoss(const nlohmann::json& epoch) {
  // Other metrics of an epoch may be undefined: an accuracy where nothing was there to be told.
  for (const auto& [name, value] : epoch.items()) {
    if (name.find("loss") != std::string::npos && IsNonFinite(value)) {
      return name;
    }
  }
  return {};
}

std::string FirstNonFinite(const formats::TensorMap& state) {
  std::vector<std::string> names;
  std::vector<torch::Tensor> sums;  // NaN or infinite where a summand is
  for (const auto& [name, tensor] : state) {
    if (tensor.is_floating_point() && tensor.numel() > 0) {
      names.push_back(name);
      sums.push_back(tensor.sum(torch::kFloat64));
    }
  }
  // Those of each device are fetched at once.
  std::map<torch::DeviceType, std::vector<size_t>> on_device;
  for (size_t i = 0; i < sums.size(); ++i) {
    on_device[sums[i].device().type()].push_back(i);
  }
  for (const auto& [device, places] : on_device) {
    std::vector<torch::Tensor> values;
    for (const size_t i : places) {
      values.push_back(sums[i]);
    }
    const torch::Tensor bad =
        torch::isfinite(torch::stack(values)).logical_not().nonzero().to(torch::kCPU);
    if (bad.numel() > 0) {
      return names[places[static_cast<size_t>(bad[0][0].item<int64_t>())]];
    }
  }
  return {};
}

void StopAtNonFinite(Learner& learner, const fs::path& directory, int64_t update,
                     const std::string& number) {
  const std::string what =
      fmt::format("{}: {} of update {} is NaN or infinite", learner.name(), number, update);
  if (directory.empty()) {
    throw UserError("lower the learning rate", "{}", what);
  }
  const int64_t good = UpdatesOfNewestCheckpoint(directory / "checkpoints");
  const fs::path saved = directory / fmt::format("nan_update_{}", update);
  NewDirectory report(saved, kReport);
  const nlohmann::json description = {
      {"stage", learner.name()}, {"number", number}, {"update", update}, {"checkpoint", good}};
  WriteFileAtomically(report.path() / "update.json", description.dump(2) + "\n");
  try {
    if (const formats::TensorMap batch = learner.BatchOf(update); !batch.empty()) {
      formats::SaveSafetensors(report.path() / "batch.safetensors", batch);
    }
  } catch (const std::exception& error) {  // a GPU may be in no state to draw it
    spdlog::warn("the batch could not be saved: {}", error.what());
  }
  report.Publish();
  throw UserError(
      fmt::format(
          "where the batch is sound, run the same command with a lower learning rate (--set "
          "KEY.lr=…): it goes on from {}",
          good > 0 ? fmt::format("the checkpoint of update {}", good) : "the beginning"),
      "{}. What it learned from is saved in {}. No later checkpoint was written", what,
      saved.string());
}

}  // namespace hidreamer::training
