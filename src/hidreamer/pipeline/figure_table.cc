#include "hidreamer/pipeline/figure_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "hidreamer/evaluation/figure.h"

namespace hidreamer::pipeline {
namespace {

std::string Number(const std::optional<double>& value, const std::string& unit) {
  return value.has_value() ? fmt::format("{:.4g}{}{}", *value, unit.empty() ? "" : " ", unit) : "–";
}

// Columns on a terminal, not bytes: UTF-8 continuation bytes do not count.
size_t Columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string FormatFigureTable(const std::filesystem::path& summary) {
  using Row = std::array<std::string, 4>;
  std::vector<Row> rows = {{"figure", "ours", "baseline", "text"}};
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
  std::array<size_t, 4> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Columns(row[i]));
    }
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      text += row[i] + (last ? "\n" : std::string(widths[i] - Columns(row[i]), ' ') + " | ");
    }
  }
  return text;
}

}  // namespace hidreamer::pipeline
