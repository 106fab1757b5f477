#include "hidreamer/evaluation/figure.h"

#include <algorithm>
#include <cmath>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer::evaluation {
namespace {

nlohmann::json NumberOrNull(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? nlohmann::json(*value) : nlohmann::json(nullptr);
}

std::optional<double> ReadNumber(const nlohmann::json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) {
    return std::nullopt;
  }
  if (!found->is_number()) {
    throw UserError("", "figure field '{}' must be a number or null, found {}", key, found->dump());
  }
  return found->get<double>();
}

std::string ReadText(const nlohmann::json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) {
    return {};
  }
  if (!found->is_string()) {
    throw UserError("", "figure field '{}' must be a string, found {}", key, found->dump());
  }
  return found->get<std::string>();
}

}  // namespace

nlohmann::json ToJson(const Figure& figure) {
  nlohmann::json object = {{"name", figure.name},
                           {"value", NumberOrNull(figure.value)},
                           {"unit", figure.unit},
                           {"baseline", NumberOrNull(figure.baseline)},
                           {"baseline_name", figure.baseline_name},
                           {"split", figure.split},
                           {"text_figure", figure.text_figure},
                           {"note", figure.note}};
  if (!figure.asked.empty()) {
    object["asked"] = figure.asked;
  }
  if (figure.holds) {
    object["holds"] = *figure.holds;
  }
  return object;
}

Figure FigureFromJson(const nlohmann::json& object) {
  if (!object.is_object() || !object.contains("name")) {
    throw UserError("", "a figure must be an object with a name, found {}", object.dump());
  }
  const auto holds = object.find("holds");
  return {.name = ReadText(object, "name"),
          .value = ReadNumber(object, "value"),
          .unit = ReadText(object, "unit"),
          .baseline = ReadNumber(object, "baseline"),
          .baseline_name = ReadText(object, "baseline_name"),
          .split = ReadText(object, "split"),
          .text_figure = ReadText(object, "text_figure"),
          .note = ReadText(object, "note"),
          .asked = ReadText(object, "asked"),
          .holds = holds != object.end() && holds->is_boolean() ? std::optional(holds->get<bool>())
                                                                : std::nullopt};
}

void WriteFigures(const std::filesystem::path& path, const std::vector<Figure>& figures) {
  auto list = nlohmann::json::array();
  for (const Figure& figure : figures) {
    list.push_back(ToJson(figure));
  }
  WriteFileAtomically(path, list.dump(1) + "\n");
}

std::vector<Figure> ReadFigures(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) {
    return {};
  }
  const auto list = nlohmann::json::parse(ReadFile(path), nullptr, false);
  if (!list.is_array()) {
    throw UserError("delete the file and evaluate again", "{} is not a list of figures",
                    path.string());
  }
  std::vector<Figure> figures;
  for (const auto& object : list) {
    figures.push_back(FigureFromJson(object));
  }
  return figures;
}

const Figure* FindFigure(const std::vector<Figure>& figures, const std::string& name,
                         const std::string& split) {
  const auto found = std::find_if(figures.begin(), figures.end(), [&](const Figure& figure) {
    return figure.name == name && (split.empty() || figure.split == split);
  });
  return found == figures.end() ? nullptr : &*found;
}

void MergeFigures(std::vector<Figure>& figures, const std::vector<Figure>& newer) {
  for (const Figure& figure : newer) {
    const auto same = std::find_if(figures.begin(), figures.end(), [&](const Figure& old) {
      return old.name == figure.name && old.split == figure.split;
    });
    if (same == figures.end()) {
      figures.push_back(figure);
    } else {
      *same = figure;
    }
  }
}

}  // namespace hidreamer::evaluation
