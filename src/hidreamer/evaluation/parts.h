#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/evaluation/figure.h"

namespace hidreamer::evaluation {

// An evaluation in the making: its parts, RUN/evaluation/NAME.json, which the report shows, and the
// figures made of them.
class Parts {
 public:
  using FigureMaker = std::vector<Figure> (*)(const nlohmann::json&);

  explicit Parts(std::filesystem::path run) : run_(std::move(run)) {}

  bool Has(const std::string& artefact) const { return std::filesystem::exists(run_ / artefact); }
  const std::vector<Figure>& figures() const { return figures_; }

  // Measures a part, or takes what was measured under the same settings since its inputs (below
  // RUN, or from the root) last changed. The file holds the settings as "measured_with". An empty
  // part could not be measured. Throws Interrupted on Ctrl-C.
  void Measure(const std::string& name, const std::vector<std::string>& inputs,
               const nlohmann::json& settings, const std::function<nlohmann::json()>& measure,
               FigureMaker make_figures);

 private:
  std::filesystem::path run_;
  std::vector<Figure> figures_;
};

}  // namespace hidreamer::evaluation
