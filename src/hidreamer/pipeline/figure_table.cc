#include "hidreamer/pipeline/figure_table.h"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "hidreamer/base/text_table.h"
#include "hidreamer/evaluation/figure.h"

namespace hidreamer::pipeline {
namespace {

std::string Number(const std::optional<double>& value, const std::string& unit) {
  return value.has_value() ? fmt::format("{:.4g}{}{}", *value, unit.empty() ? "" : " ", unit) : "–";
}

}  // namespace

std::string FormatFigureTable(const std::filesystem::path& summary) {
  std::vector<std::vector<std::string>> rows = {{"figure", "ours", "baseline", "text"}};
  for (const evaluation::Figure& figure : evaluation::ReadFigures(summary)) {
    std::string baseline = Number(figure.baseline, "");
    if (!figure.baseline_name.empty()) {
      baseline += fmt::format(" ({})", figure.baseline_name);
    }
    rows.push_back(
        {figure.split.empty() ? figure.name : fmt::format("{} [{}]", figure.name, figure.split),
         Number(figure.value, figure.unit), baseline,
         figure.text_figure.empty() ? "–" : figure.text_figure});
  }
  return FormatTable(rows);
}

}  // namespace hidreamer::pipeline
