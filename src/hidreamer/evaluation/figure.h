#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace hidreamer::evaluation {

// One number of a run as it is shown to a person: never without what it has to be compared with.
struct Figure {
  std::string name = {};             // "world_model/accuracy_l0"
  std::optional<double> value = {};  // empty: could not be measured, `note` says why
  std::string unit = {};             // "points", "%", "px"; empty: dimensionless
  std::optional<double> baseline = {};
  std::string baseline_name = {};  // "random policy", "copy-previous"
  std::string split = {};          // "episode", "windows" or empty where nothing is held out
  std::string text_figure = {};    // what the project's text reports for it
  std::string note = {};
  std::string asked = {};          // "above 0.95": what the value should be, where that is known
  std::optional<bool> holds = {};  // whether it is so

  bool operator==(const Figure&) const = default;
};

nlohmann::json ToJson(const Figure& figure);
// Throws a user Error that names the field that is missing or of another type.
Figure FigureFromJson(const nlohmann::json& json);

// A list of figures as a JSON file (summary.json, STAGE/figures.json). Non-finite values are
// written as null. Written atomically.
void WriteFigures(const std::filesystem::path& path, const std::vector<Figure>& figures);
// Missing file: empty list. Throws a user Error if the file is no such list.
std::vector<Figure> ReadFigures(const std::filesystem::path& path);

// The figure of that name and split (any split where `split` is empty), or nullptr.
const Figure* FindFigure(const std::vector<Figure>& figures, const std::string& name,
                         const std::string& split = {});

// Replaces figures of the same name and split, appends the others in order.
void MergeFigures(std::vector<Figure>& figures, const std::vector<Figure>& newer);

}  // namespace hidreamer::evaluation
