// Headline, scores, one-step prediction, open loop, probes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "hidreamer/report/chart.h"
#include "hidreamer/report/html.h"
#include "hidreamer/report/sections.h"

namespace hidreamer::report {
namespace {

using nlohmann::json;

std::vector<double> Numbers(const json& list) {
  std::vector<double> values;
  for (const json& value : list) {
    values.push_back(value.is_number() ? value.get<double>() : std::nan(""));
  }
  return values;
}

std::vector<double> StepsOf(const std::vector<double>& values) {
  std::vector<double> steps(values.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i] = static_cast<double>(i + 1);
  }
  return steps;
}

std::optional<double> Number(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? std::optional(found->get<double>())
                                                     : std::nullopt;
}

std::string WithError(const json& object) {
  const auto error = Number(object, "standard_error");
  return FormatNumber(Number(object, "mean")) + (error ? " ± " + FormatNumber(error) : "");
}

std::string Percent(const std::optional<double>& share) {
  return share ? FormatNumber(100 * *share) : FormatNumber({});
}

std::string Baseline(const evaluation::Figure& figure) {
  return figure.baseline ? FormatNumber(figure.baseline) + " <small>" +
                               Escape(figure.baseline_name) + "</small>"
                         : std::string();
}

std::string Value(const evaluation::Figure& figure) {
  return FormatNumber(figure.value) +
         (figure.unit.empty() ? "" : " <small>" + Escape(figure.unit) + "</small>");
}

// An online agent's figures, beside what is asked of them.
std::string AgentHeadline(const std::vector<evaluation::Figure>& figures) {
  Table table{.header = {"figure", "value", "baseline", "asked", "", ""},
              .numeric = {false, true, true, false, false, false},
              .rows = {}};
  for (const evaluation::Figure& figure : figures) {
    table.rows.push_back({Escape(figure.name), "<b>" + Value(figure) + "</b>", Baseline(figure),
                          Escape(figure.asked),
                          !figure.holds   ? ""
                          : *figure.holds ? "holds"
                                          : "<b>does not hold</b>",
                          "<small>" + Escape(figure.note) + "</small>"});
  }
  return RenderTable(table);
}

}  // namespace

std::string HeadlineSection(const ReportData& data) {
  std::vector<evaluation::Figure> figures = data.figures;
  for (const StageData& stage : data.stages) {
    evaluation::MergeFigures(figures, stage.figures);
  }
  if (figures.empty()) {
    return data.is_agent ? Missing("The evaluation", "hidreamer evaluate RUN measures it")
                         : Missing("The summary", "no stage has written figures yet");
  }
  if (data.is_agent) {
    return AgentHeadline(figures);
  }
  // One row a name; the two splits side by side.
  std::vector<std::string> names;
  for (const auto& figure : figures) {
    if (std::find(names.begin(), names.end(), figure.name) == names.end()) {
      names.push_back(figure.name);
    }
  }
  Table table{.header = {"figure", "ours, held-out episodes", "ours, random windows", "baseline",
                         "the text reports", ""},
              .numeric = {false, true, true, true, true, false},
              .rows = {}};
  for (const std::string& name : names) {
    const evaluation::Figure* windows = nullptr;
    const evaluation::Figure* episodes = nullptr;
    for (const auto& figure : figures) {
      if (figure.name == name) {
        (figure.split == "windows" ? windows : episodes) = &figure;
      }
    }
    const evaluation::Figure& any = episodes != nullptr ? *episodes : *windows;
    const auto shown = [](const evaluation::Figure* figure) {
      return figure == nullptr ? std::string() : Value(*figure);
    };
    table.rows.push_back({Escape(name), "<b>" + shown(episodes) + "</b>", shown(windows),
                          Baseline(any), Escape(any.text_figure),
                          "<small>" + Escape(any.note) + "</small>"});
  }
  return RenderTable(table) +
         "<p class=\"note\">A figure counts with its baseline beside it. Under <i>random windows"
         "</i> almost every validation target is also a training target; only the column of "
         "held-out episodes says how well the model predicts what it has not seen. The two columns "
         "are two world models, trained alike but for what was held out.</p>";
}

std::string PlaySection(const ReportData& data) {
  const auto parts = data.PartsOf("play_");
  if (parts.empty()) {
    return Missing("Play in the real game", "no game has been played yet (hidreamer eval)");
  }
  Table table{.header = {"game", "protocol", "player", "games", "mean score", "random policy",
                         "median", "IQM, 95 %", "min … max", "human-normalised"},
              .numeric = {false, false, false, true, true, true, true, true, true, true},
              .rows = {}};
  std::string charts;
  for (const auto& [name, part] : parts) {
    const json& play = *part;
    std::string random = "–";
    std::vector<double> random_scores;
    if (const auto found = play.find("random_measured"); found != play.end()) {
      random = WithError(*found);
      random_scores = Numbers(found->value("scores", json::array()));
    } else if (const auto recorded = play.find("random_recorded"); recorded != play.end()) {
      random = WithError(*recorded);
    }
    std::string interval;
    if (const auto found = play.find("iqm_interval_95"); found != play.end()) {
      interval = " <small>" + FormatNumber(found->at(0).get<double>()) + " … " +
                 FormatNumber(found->at(1).get<double>()) + "</small>";
    }
    const std::string game = play.value("game", name);
    const std::string player = play.value("player", "policy");
    table.rows.push_back(
        {Escape(game), Escape(play.value("protocol", "")), Escape(player),
         FormatNumber(Number(play, "count")), "<b>" + WithError(play) + "</b>", random,
         FormatNumber(Number(play, "median")), FormatNumber(Number(play, "iqm")) + interval,
         FormatNumber(Number(play, "min")) + " … " + FormatNumber(Number(play, "max")),
         FormatNumber(Number(play, "human_normalized"))});
    std::vector<double> scores;
    for (const json& episode : play.value("episodes", json::array())) {
      scores.push_back(episode.value("score", 0.0));
    }
    charts += RenderHistogram({.title = game + ", " + play.value("protocol", ""),
                               .x_label = "score of a game",
                               .name = player,
                               .values = scores,
                               .baseline_name = "random policy",
                               .baseline = random_scores});
  }
  return RenderTable(table) + "<div class=\"plots\">" + charts + "</div>";
}

std::string PredictionSection(const ReportData& data) {
  const json* part = data.Part("prediction");
  if (part == nullptr) {
    return Missing("One-step prediction", "no world model has been judged yet");
  }
  Table table{
      .header = {"level", "accuracy %", "copy-previous %", "bigram %", "on changed tokens %",
                 "best count on changed %", "nats a token", "calibration error"},
      .numeric = {false, true, true, true, true, true, true, true},
      .rows = {}};
  int level = 0;
  for (const json& row : part->at("levels")) {
    table.rows.push_back(
        {fmt::format("L{}", level++), "<b>" + Percent(Number(row, "accuracy")) + "</b>",
         Percent(Number(row, "copy_accuracy")), Percent(Number(row, "bigram_accuracy")),
         "<b>" + Percent(Number(row, "changed_accuracy")) + "</b>",
         Percent(Number(row, "successor_changed_accuracy")), FormatNumber(Number(row, "nll")),
         FormatNumber(Number(row, "ece"))});
  }
  std::string out =
      RenderTable(table) + fmt::format("<p class=\"note\">{} windows of {} steps, split by {}.</p>",
                                       FormatNumber(Number(*part, "windows")),
                                       FormatNumber(Number(*part, "length")),
                                       Escape(part->value("split", "episode")));
  Table ends{.header = {"game", "event", "true", "precision %", "recall %", "F1 %"},
             .numeric = {false, false, true, true, true, true},
             .rows = {}};
  for (const auto& [name, outcomes] : data.PartsOf("outcomes_")) {
    for (const json& row : outcomes->value("classes", json::array())) {
      ends.rows.push_back({Escape(outcomes->value("game", name)), Escape(row.value("name", "")),
                           FormatNumber(Number(row, "count")), Percent(Number(row, "precision")),
                           Percent(Number(row, "recall")), Percent(Number(row, "f1"))});
    }
  }
  Table returns{.header = {"game", "dream return", "real return", "correlation", "start states"},
                .numeric = {false, true, true, true, true},
                .rows = {}};
  for (const auto& [name, row] : data.PartsOf("returns_")) {
    returns.rows.push_back(
        {Escape(row->value("game", name)), FormatNumber(Number(*row, "dream_mean")),
         FormatNumber(Number(*row, "real_mean")), FormatNumber(Number(*row, "correlation")),
         FormatNumber(Number(*row, "starts"))});
  }
  if (!returns.rows.empty()) {
    out += "<h3>Dream return against real return of the same policy</h3>" + RenderTable(returns);
  }
  return out + (ends.rows.empty() ? Missing("Reward and end", "no policy's heads to judge")
                                  : "<h3>Reward and end</h3>" + RenderTable(ends));
}

std::string OpenLoopSection(const ReportData& data) {
  const auto parts = data.PartsOf("open_loop_");
  if (parts.empty()) {
    return Missing("Open loop", "no world model has dreamed under logged actions yet");
  }
  std::string out;
  for (const auto& [name, part] : parts) {
    const std::string game = part->value("game", name);
    out += "<h3>" + Escape(game) + "</h3><div class=\"plots\">";
    int level = 0;
    const auto chart_of = [](const json& curves, LineChart chart) {
      for (const auto& [key, label] :
           {std::pair("model", "the model"), std::pair("shuffled", "the model, shuffled actions"),
            std::pair("copy", "repeat the last frame"),
            std::pair("floor", "probe on the true tokens")}) {
        if (const auto found = curves.find(key); found != curves.end()) {
          const auto y = Numbers(*found);
          chart.series.push_back({.name = label,
                                  .x = StepsOf(y),
                                  .y = y,
                                  .baseline = std::string_view(key) != "model"});
        }
      }
      return RenderLineChart(chart);
    };
    for (const json& curves : part->value("levels", json::array())) {
      out += chart_of(curves, {.title = fmt::format("Wrong tokens, L{}", level++),
                               .x_label = "steps dreamed",
                               .y_min = 0,
                               .y_max = 1});
    }
    const json probes = part->value("probe", json::object());
    for (const auto& [variable, curves] : probes.items()) {
      out += chart_of(curves, {.title = variable + ", mean error",
                               .x_label = "steps dreamed",
                               .y_label = "RAM units",
                               .y_min = 0});
    }
    out += "</div>";
    out += fmt::format(
        "<p class=\"note\">{} held-out windows, {} real steps before the dream, logged actions."
        "</p>",
        FormatNumber(Number(*part, "windows")), FormatNumber(Number(*part, "context")));
  }
  return out;
}

std::string ProbeSection(const ReportData& data) {
  const auto parts = data.PartsOf("probe_");
  if (parts.empty()) {
    return Missing("Probes", "nothing has been probed yet (hidreamer probe)");
  }
  static const std::vector<std::pair<std::string, std::string>> kSources = {
      {"embedding", "embedding"},         {"codes", "codes"},
      {"values", "values of the codes"},  {"hidden", "hidden state"},
      {"untrained", "untrained encoder"}, {"pixels", "PCA of pixels"}};
  std::string out;
  for (const auto& [name, part] : parts) {
    const json& probe = *part;
    std::set<std::string> horizons;
    for (const json& variable : probe.at("variables")) {
      const json imagined = variable.value("imagined", json::object());  // outlives items()
      for (const auto& [k, value] : imagined.items()) {
        horizons.insert(std::string(3 - std::min<size_t>(3, k.size()), '0') + k);
      }
    }
    Table table{.header = {"variable"}, .numeric = {false}, .rows = {}};
    for (const auto& source : kSources) {
      table.header.push_back(source.second);
      table.numeric.push_back(true);
    }
    for (const std::string& k : horizons) {
      table.header.push_back(fmt::format("dreamed {}", std::stoi(k)));
      table.numeric.push_back(true);
    }
    const auto cell = [](const json& fits, const std::string& key) {
      const auto found = fits.find(key);
      if (found == fits.end()) {
        return std::string("–");
      }
      const double r2 = found->value("r2", 0.0);
      return fmt::format("<span style=\"--w:{:.2f}\" class=\"heat\">{}</span> <small>{}</small>",
                         std::clamp(r2, 0.0, 1.0), FormatNumber(std::round(r2 * 100) / 100),
                         FormatNumber(Number(*found, "mae")));
    };
    for (const json& variable : probe.at("variables")) {
      std::vector<std::string> row = {Escape(variable.value("name", ""))};
      const json fits = variable.value("fits", json::object());
      for (const auto& source : kSources) {
        row.push_back(cell(fits, source.first));
      }
      const json imagined = variable.value("imagined", json::object());
      for (const std::string& k : horizons) {
        row.push_back(cell(imagined, std::to_string(std::stoi(k))));
      }
      table.rows.push_back(row);
    }
    out += "<h3>" + Escape(probe.value("game", name)) + "</h3>" + RenderTable(table);
    std::string left_out;
    for (const json& variable : probe.value("left_out", json::array())) {
      left_out += (left_out.empty() ? "" : ", ") + Escape(variable.value("name", ""));
    }
    out += fmt::format(
        "<p class=\"note\">R² and, small, the mean absolute error in RAM units, of a ridge "
        "regression fitted on {} rows and judged on {} rows of held-out episodes (R² 0 where these "
        "show one value only).{}</p>",
        FormatNumber(Number(probe, "train_rows")), FormatNumber(Number(probe, "test_rows")),
        left_out.empty() ? "" : " Left out because they hardly vary: " + left_out + ".");
  }
  return out;
}

}  // namespace hidreamer::report
