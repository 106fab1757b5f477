#include "hidreamer/evaluation/parts.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"

namespace hidreamer::evaluation {
namespace {

namespace fs = std::filesystem;

// Newest change below a path; the distant past where it is missing.
fs::file_time_type LastChange(const fs::path& path) {
  if (fs::is_directory(path)) {
    auto newest = fs::file_time_type::min();
    for (const auto& entry : fs::directory_iterator(path)) {
      newest = std::max(newest, fs::last_write_time(entry.path()));
    }
    return newest;
  }
  return fs::exists(path) ? fs::last_write_time(path) : fs::file_time_type::min();
}

}  // namespace

void Parts::Measure(const std::string& name, const std::vector<std::string>& inputs,
                    const nlohmann::json& settings, const std::function<nlohmann::json()>& measure,
                    FigureMaker make_figures) {
  for (const std::string& input : inputs) {
    if (!Has(input)) {
      spdlog::info("evaluation {}: left out, {} is not there", name, input);
      figures_.push_back({.name = name, .note = "not measured: no " + input});
      return;
    }
  }
  if (InterruptRequested()) {
    throw Interrupted();
  }
  const fs::path file = run_ / "evaluation" / (name + ".json");
  bool fresh = fs::exists(file);
  for (const std::string& input : inputs) {
    fresh = fresh && LastChange(run_ / input) <= fs::last_write_time(file);
  }
  nlohmann::json part;
  if (fresh) {
    part = nlohmann::json::parse(ReadFile(file), nullptr, false);
  }
  if (!part.is_object() || part.value("measured_with", nlohmann::json()) != settings) {
    spdlog::info("evaluation: {}", name);
    part = measure();
    if (part.empty()) {
      spdlog::warn("evaluation {}: nothing to measure in this recording", name);
      figures_.push_back({.name = name, .note = "nothing to measure in this recording"});
      return;
    }
    part["measured_with"] = settings;
    WriteFileAtomically(file, part.dump(1) + "\n");
  }
  part.erase("measured_with");
  if (make_figures != nullptr) {
    MergeFigures(figures_, make_figures(part));
  }
}

}  // namespace hidreamer::evaluation
