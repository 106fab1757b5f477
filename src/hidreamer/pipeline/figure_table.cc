#include "hidreamer/pipeline/figure_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "hidreamer/base/text_table.h"
#include "hidreamer/evaluation/figure.h"

namespace hidreamer::pipeline {
namespace {

// How the names of the figures begin that a person wants to see first.
constexpr std::array kFirst = {"score, ",
                               "perplexity, L0",
                               "smoothness, L0",
                               "accuracy of the next codes, L0",
                               "accuracy on changed codes, L0",
                               "dream return, "};

bool ComesFirst(const evaluation::Figure& figure) {
  return std::any_of(kFirst.begin(), kFirst.end(),
                     [&](const char* name) { return figure.name.starts_with(name); });
}

std::string Number(const std::optional<double>& value, const std::string& unit) {
  return value.has_value() ? fmt::format("{:.4g}{}{}", *value, unit.empty() ? "" : " ", unit) : "–";
}

std::string Baseline(const evaluation::Figure& figure) {
  return Number(figure.baseline, "") +
         (figure.baseline_name.empty() ? "" : fmt::format(" ({})", figure.baseline_name));
}

}  // namespace

std::string FormatFigures(const std::vector<evaluation::Figure>& figures) {
  std::vector<std::vector<std::string>> rows = {{"figure", "value", "baseline", "asked", ""}};
  for (const evaluation::Figure& figure : figures) {
    rows.push_back({figure.name, Number(figure.value, figure.unit), Baseline(figure), figure.asked,
                    !figure.holds   ? ""
                    : *figure.holds ? "holds"
                                    : "DOES NOT HOLD"});
  }
  return FormatTable(rows);
}

std::string FormatFigureTable(const std::filesystem::path& summary) {
  std::vector<std::vector<std::string>> rows = {{"figure", "ours", "baseline", "the text"}};
  const std::vector<evaluation::Figure> figures = evaluation::ReadFigures(summary);
  for (const evaluation::Figure& figure : figures) {
    if (!ComesFirst(figure)) {
      continue;
    }
    rows.push_back(
        {figure.split.empty() ? figure.name : fmt::format("{} [{}]", figure.name, figure.split),
         Number(figure.value, figure.unit), Baseline(figure),
         figure.text_figure.empty() ? "–" : figure.text_figure});
  }
  return FormatTable(rows) + fmt::format("The report has all {} figures.\n", figures.size());
}

}  // namespace hidreamer::pipeline
