// Dreams, codes, masks, training curves, provenance.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "hidreamer/base/progress.h"
#include "hidreamer/report/animation.h"
#include "hidreamer/report/chart.h"
#include "hidreamer/report/html.h"
#include "hidreamer/report/sections.h"

namespace hidreamer::report {
namespace {

using nlohmann::json;

constexpr int kDreamColumns = 6;
constexpr int kMillisecondsPerStep = 120;

// A dream's strip: what happened above what was dreamed, every few steps.
std::string DreamStrip(const ReportData& data, const json& dream, const std::string& game) {
  const json& truth = dream.at("truth_rows");
  const json& dreamed = dream.at("dream_rows");
  const size_t count = std::min(truth.size(), dreamed.size());
  if (count == 0) {
    return {};
  }
  std::vector<Image> top;
  std::vector<Image> bottom;
  std::vector<std::string> steps;
  const size_t shown = std::min<size_t>(count, kDreamColumns);
  for (size_t i = 0; i < shown; ++i) {
    const size_t k = shown == 1 ? 0 : i * (count - 1) / (shown - 1);
    top.push_back(data.frame(game, truth[k].get<int64_t>()));
    bottom.push_back(data.frame(game, dreamed[k].get<int64_t>()));
    if (top.back().pixels.empty() || bottom.back().pixels.empty()) {
      return {};
    }
    steps.push_back(fmt::format("{}", k + 1));
  }
  top.insert(top.end(), bottom.begin(), bottom.end());
  std::string labels = "<div class=\"steps\">";
  for (const std::string& step : steps) {
    labels += "<span>" + step + "</span>";
  }
  return labels + "</div>" +
         ImageElement(EncodePng(Tile(top, static_cast<int64_t>(shown), 3)), "image/png",
                      "real frames above, dreamed frames below, " + game);
}

}  // namespace

std::string DreamSection(const ReportData& data) {
  const auto parts = data.PartsOf("dream_");
  if (parts.empty() || !data.frame) {
    return Missing("A dream beside the game", "nothing has been dreamed yet (hidreamer dream)");
  }
  std::string out;
  for (const auto& [name, part] : parts) {
    const std::string game = part->value("game", name);
    const std::string strip = DreamStrip(data, *part, game);
    if (strip.empty()) {
      out += Missing("The dream of " + game, "its frames are not in this run directory");
      continue;
    }
    const auto frames = DreamAnimation(*part, [&](int64_t row) { return data.frame(game, row); });
    out +=
        "<h3>" + Escape(game) + "</h3><div class=\"dream\">" +
        FigureElement(ImageElement(EncodeWebpAnimation(frames, kMillisecondsPerStep), "image/webp",
                                   "the game and the dream, moving"),
                      "the game · the dream") +
        FigureElement(strip, fmt::format("Step of the dream; above what happened, below what "
                                         "was dreamed under the same actions after {} real "
                                         "steps. A dreamed frame is drawn as the stored frame "
                                         "whose code tuple is the same or nearest ({} of {} "
                                         "are the same).",
                                         part->value("context_rows", json::array()).size(),
                                         part->value("exact", 0), part->at("dream_rows").size())) +
        "</div>";
  }
  return out;
}

std::string CodesSection(const ReportData& data) {
  const json* codes = data.Part("codes");
  if (codes == nullptr) {
    return Missing("Codes", "no tokenizer has been judged yet");
  }
  std::string out;
  Table usage{
      .header = {"level", "game", "codes used", "perplexity", "smoothness", "smoothness by chance"},
      .numeric = {false, false, true, true, true, true},
      .rows = {}};
  std::string strips;
  const auto number = [](const json& object, const char* key) {
    const auto found = object.find(key);
    return FormatNumber(found != object.end() && found->is_number()
                            ? std::optional(found->get<double>())
                            : std::nullopt);
  };
  int level_index = 0;
  for (const json& level : codes->value("levels", json::array())) {
    strips += fmt::format("<div><h4>L{}</h4>", level_index);
    int colour = 0;
    for (const json& game : level.at("games")) {
      const std::string name = game.value("game", "");
      usage.rows.push_back({fmt::format("L{}", level_index), Escape(name), number(game, "used"),
                            number(game, "perplexity"), number(game, "smoothness"),
                            number(game, "chance_smoothness")});
      auto counts = game.value("counts", std::vector<double>{});
      std::sort(counts.rbegin(), counts.rend());
      strips += RenderBarStrip(
          {.title = name, .values = counts, .caption = "perplexity " + number(game, "perplexity")},
          colour++);
    }
    strips += "</div>";
    ++level_index;
  }
  out += RenderTable(usage) + "<div class=\"strips\">" + strips +
         "</div><p class=\"note\">How often each code is used, most used first.</p>";
  if (const json sharing = codes->value("sharing", json::array()); !sharing.empty()) {
    Table table{.header = {"level"}, .numeric = {false}, .rows = {}};
    const size_t games = sharing[0].at("used_by").size();
    for (size_t g = 0; g < games; ++g) {
      table.header.push_back(g == 0 ? "unused" : fmt::format("in {} game{}", g, g > 1 ? "s" : ""));
      table.numeric.push_back(true);
    }
    for (const char* name : {"code says about game, bits", "by chance", "at most"}) {
      table.header.emplace_back(name);
      table.numeric.push_back(true);
    }
    int level = 0;
    for (const json& row : sharing) {
      std::vector<std::string> cells = {fmt::format("L{}", level++)};
      for (const json& count : row.at("used_by")) {
        cells.push_back(FormatNumber(count.get<double>()));
      }
      cells.push_back(number(row, "mutual_information"));
      cells.push_back(number(row, "shuffled_mutual_information"));
      cells.push_back(number(row, "game_entropy"));
      table.rows.push_back(cells);
    }
    out += "<h3>Sharing between games</h3>" + RenderTable(table);
  }
  std::string examples;
  for (const json& group : codes->value("examples", json::array())) {
    const std::string game = group.value("game", "");
    for (const json& code : group.value("codes", json::array())) {
      std::vector<Image> frames;
      for (const json& row : code.at("rows")) {
        auto image = data.frame ? data.frame(game, row.get<int64_t>()) : Image();
        if (!image.pixels.empty()) {
          frames.push_back(std::move(image));
        }
      }
      if (!frames.empty()) {
        examples += FigureElement(
            ImageElement(EncodePng(Tile(frames, 4, 2)), "image/png",
                         fmt::format("{} frames with code {}", game, code.value("code", 0))),
            fmt::format("{} · code {} · {} %", Escape(game), code.value("code", 0),
                        FormatNumber(100 * code.value("share", 0.0))));
      }
    }
  }
  if (!examples.empty()) {
    out += "<h3>What a code of L0 looks like</h3><div class=\"examples\">" + examples +
           "</div><p class=\"note\">Frames from all over the recording that share the code; the "
           "most used codes of each game and their share of its frames.</p>";
  }
  return out;
}

std::string MaskSection(const ReportData& data) {
  const json* part = data.Part("masks");
  if (part == nullptr) {
    return Missing("The attention mask", "no world model has been judged yet");
  }
  std::string out = "<div class=\"plots\">";
  const std::string used = part->value("used", "");
  for (const json& mask : part->value("masks", json::array())) {
    const std::string kind = mask.value("kind", "");
    out += RenderMask({.title = kind + (kind == used ? " (this run)" : ""),
                       .rows = mask.value("rows", std::vector<std::string>{}),
                       .labels = part->value("labels", std::vector<std::string>{})});
  }
  return out +
         "</div><p class=\"note\">Rows ask, columns answer; blue: a past step, amber: the same "
         "step. <i>reference</i>: only L0 looks at past detail; <i>strict</i>: nobody does; "
         "<i>causal</i>: all see all.</p>";
}

std::string TrainingSection(const ReportData& data) {
  std::string out;
  for (const StageData& stage : data.stages) {
    // Keys of numbers in per-update and per-epoch records, in families: loss*, *accuracy*, rest.
    std::map<std::string, Series> by_step, by_epoch;
    for (const json& record : stage.metrics) {
      const bool epoch = record.contains("epoch");
      const char* axis = epoch ? "epoch" : "step";
      if (!record.contains(axis) || !record[axis].is_number()) {
        continue;
      }
      for (const auto& [key, value] : record.items()) {
        if (value.is_number() && key != "step" && key != "epoch" && key != "time" &&
            key != "seconds") {
          Series& series = (epoch ? by_epoch : by_step)[key];
          series.name = key;
          series.x.push_back(record[axis].get<double>());
          series.y.push_back(value.get<double>());
        }
      }
    }
    const auto chart = [&](const std::map<std::string, Series>& all, const std::string& part,
                           const std::string& title, const std::string& x_label) {
      LineChart lines{.title = title, .x_label = x_label};
      for (const auto& [key, series] : all) {
        // Accuracy on changed tokens has a chart of its own.
        const bool changed = key.starts_with("changed") != part.starts_with("changed");
        if (key.find(part) != std::string::npos && !changed && lines.series.size() < 8) {
          lines.series.push_back(series);
          lines.series.back().baseline = key.starts_with("copy");
        }
      }
      return RenderLineChart(lines);
    };
    std::string charts =
        chart(by_step, "loss", "Training loss", "update") +
        chart(by_epoch, "loss", "Validation loss", "epoch") +
        chart(by_step, "accuracy", "Training accuracy", "update") +
        chart(by_epoch, "accuracy", "Validation accuracy", "epoch") +
        chart(by_epoch, "changed_accuracy", "Accuracy on changed tokens", "epoch") +
        chart(by_epoch, "perplexity", "Perplexity", "epoch") +
        chart(by_step, "return", "Returns in the dream", "update") +
        chart(by_step, "entropy", "Entropy", "update") +
        chart(by_step, "lr", "Learning rate", "update");
    out += "<details open><summary>" + Escape(stage.name) +
           (stage.done ? "" : " <small>not finished</small>") + "</summary>";
    out += charts.empty() ? Missing("The log of " + stage.name, "no metrics.jsonl with numbers")
                          : "<div class=\"plots\">" + charts + "</div>";
    out += "</details>";
  }
  return out.empty() ? Missing("Training", "no stage has been trained yet") : out;
}

std::string ProvenanceSection(const ReportData& data) {
  std::string out;
  Table facts{.header = {"", ""}, .numeric = {false, false}, .rows = {}};
  const json flat = data.run.is_object() ? data.run.flatten() : json::object();
  for (const auto& [key, value] : flat.items()) {
    facts.rows.push_back({Escape(key.substr(1)),
                          Escape(value.is_string() ? value.get<std::string>() : value.dump())});
  }
  for (const StageData& stage : data.stages) {
    if (stage.stage.is_object() && stage.stage.contains("seconds") &&
        stage.stage["seconds"].is_number()) {
      facts.rows.push_back({Escape("duration of " + stage.name),
                            FormatDuration(stage.stage["seconds"].get<double>())});
    }
  }
  out += facts.rows.empty() ? Missing("Versions and machine", "there is no run.json")
                            : RenderTable(facts);
  out += data.config.empty() ? Missing("The configuration", "there is no config.yaml")
                             : "<details><summary>Configuration</summary><pre>" +
                                   Escape(data.config) + "</pre></details>";
  return out;
}

}  // namespace hidreamer::report
