#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/report/html.h"
#include "hidreamer/report/sections.h"
#include "hidreamer/report/style.h"

namespace hidreamer::report {
namespace {

struct Section {
  const char* id;
  const char* title;
  const char* lead;
  std::string (*render)(const ReportData&);
  const char* part = "";  // left out where the run has no part whose name begins so
};

const std::vector<Section> kStagedSections = {
    {"summary", "Summary", "Every figure of the run beside what it has to be compared with.",
     HeadlineSection},
    {"play", "Play in the real game",
     "Whole games with the final policy: unclipped score, a lost life ends nothing, no choosing "
     "of the best checkpoint.",
     PlaySection},
    {"dream", "A dream beside the game",
     "The world model is shown a few real steps of a held-out episode, then goes on by itself "
     "under the actions that were really taken.",
     DreamSection},
    {"prediction", "One step ahead",
     "How well the next tokens are predicted when the true past is given. On most steps most "
     "tokens stay as they are: what counts is the gain over copying.",
     PredictionSection},
    {"open-loop", "Many steps ahead",
     "The error of dreams under logged actions, against doing nothing and against dreaming under "
     "the wrong actions.",
     OpenLoopSection},
    {"probes", "What the states know",
     "Can a linear map read the game's own variables from the console's memory out of a state?",
     ProbeSection},
    {"codes", "Codes", "How the three codebooks are used, and shared between games.", CodesSection},
    {"mask", "Attention mask", "Which positions may read which.", MaskSection},
    {"training", "Training", "Loss and accuracy of every stage.", TrainingSection},
    {"run", "How it was made", "Configuration, versions, machine, durations.", ProvenanceSection},
};

const std::vector<Section> kAgentSections = {
    {"learning", "Learning", "Scores are of whole real games, unclipped.", LearningSection},
    {"dream", "A dream beside the game",
     "The world model goes on by itself from where the game is, under the same actions.",
     AgentDreamSection},
    {"summary", "Evaluation",
     "What codes, world model and policy are worth on games that they did not learn from "
     "(hidreamer evaluate).",
     HeadlineSection},
    {"play", "Play in the real game", "Whole games with the final policy, unclipped.", PlaySection,
     "play_"},
    {"prediction", "One step ahead", "The next codes, the true past given; reward and end.",
     PredictionSection, "prediction"},
    {"open-loop", "Many steps ahead",
     "Errors of dreams under the recorded actions, beside dreams under other actions and doing "
     "nothing.",
     OpenLoopSection, "open_loop_"},
    {"probes", "What the codes know",
     "Can a linear map read the game's own variables from the console's memory out of the codes?",
     ProbeSection, "probe_"},
    {"codes", "Codes", "How often each code is used.", CodesSection, "codes"},
    {"training", "Training", "Losses and what the dreams promise, update by update.",
     TrainingSection},
    {"run", "How it was made", "Configuration, versions, machine, durations.", ProvenanceSection},
};

std::string LeadOf(const ReportData& data) {
  if (!data.is_agent) {
    return "The staged pipeline: record, encode, tokenize, model, dream, judge.";
  }
  if (data.curve.is_object() && data.curve.value("over", "steps") == "updates") {
    return "A trained agent of which one part alone was trained further, on its replay.";
  }
  return "An agent that learned online: it played, modelled the game and trained its policy in "
         "dreams, all at once.";
}

const std::vector<Section>& SectionsOf(const ReportData& data) {
  return data.is_agent ? kAgentSections : kStagedSections;
}

// `prefix` keeps the addresses of several runs apart.
std::string RenderSection(const Section& section, const ReportData& data,
                          const std::string& prefix) {
  std::string body;
  try {
    body = section.render(data);
  } catch (const std::exception& error) {
    spdlog::warn("report, {}: {}", section.title, error.what());
    body = Missing(section.title, fmt::format("its data cannot be read ({})", error.what()));
  }
  return fmt::format("<section id=\"{}{}\"><h2>{}</h2><p class=\"lead\">{}</p>\n{}</section>\n",
                     prefix, section.id, section.title, section.lead, body);
}

}  // namespace

std::string WholePage(const std::string& title, const std::string& body) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"generator\" content=\"hidreamer\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
         "<title>" +
         title + " · hidreamer</title><style>" + kStyle + "</style></head><body>\n" + body +
         "</body></html>\n";
}

std::string RenderPage(const std::vector<ReportData>& runs) {
  std::string title, body;
  for (size_t i = 0; i < runs.size(); ++i) {
    const ReportData& data = runs[i];
    const std::string name = Escape(data.title);
    const std::string prefix = i == 0 ? "" : fmt::format("{}-", i + 1);
    title += (i == 0 ? "" : ", ") + name;
    std::string navigation, sections;
    for (const Section& section : SectionsOf(data)) {
      if (*section.part != '\0' && data.PartsOf(section.part).empty()) {
        continue;
      }
      navigation += fmt::format("<a href=\"#{}{}\">{}</a>", prefix, section.id, section.title);
      sections += RenderSection(section, data, prefix);
    }
    body += fmt::format(
        "<header><p class=\"brand\">hidreamer</p><h1>{}</h1><p class=\"lead\">{}</p>"
        "<nav>{}</nav></header>\n<main>\n{}</main>\n",
        name, LeadOf(data), navigation, sections);
  }
  return WholePage(title, body);
}

std::string RenderReport(const std::vector<std::filesystem::path>& runs) {
  std::vector<ReportData> data;
  for (const auto& run : runs) {
    data.push_back(LoadReportData(run));
  }
  return RenderPage(data);
}

std::filesystem::path WriteReport(const std::vector<std::filesystem::path>& runs) {
  HID_CHECK(!runs.empty(), "a report of no run");
  const auto path = runs.front() / "report.html";
  WriteFileAtomically(path, RenderReport(runs));
  return path;
}

}  // namespace hidreamer::report
