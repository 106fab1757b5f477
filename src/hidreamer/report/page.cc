#include <fmt/format.h>
#include <spdlog/spdlog.h>

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
};

constexpr Section kSections[] = {
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

std::string RenderSection(const Section& section, const ReportData& data) {
  std::string body;
  try {
    body = section.render(data);
  } catch (const std::exception& error) {
    spdlog::warn("report, {}: {}", section.title, error.what());
    body = Missing(section.title, fmt::format("its data cannot be read ({})", error.what()));
  }
  return fmt::format("<section id=\"{}\"><h2>{}</h2><p class=\"lead\">{}</p>\n{}</section>\n",
                     section.id, section.title, section.lead, body);
}

}  // namespace

std::string RenderPage(const ReportData& data) {
  std::string navigation;
  std::string body;
  for (const Section& section : kSections) {
    navigation += fmt::format("<a href=\"#{}\">{}</a>", section.id, section.title);
    body += RenderSection(section, data);
  }
  std::string title = Escape(data.title);
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
         "<title>" +
         title + " · hidreamer</title><style>" + kStyle +
         "</style></head><body>\n<header><p class=\"brand\">hidreamer</p><h1>" + title +
         "</h1><p class=\"lead\">An agent that learns to play Atari inside a hierarchical discrete "
         "world model.</p><nav>" +
         navigation + "</nav></header>\n<main>\n" + body + "</main></body></html>\n";
}

std::filesystem::path WriteReport(const std::filesystem::path& run) {
  const auto path = run / "report.html";
  WriteFileAtomically(path, RenderPage(LoadReportData(run)));
  return path;
}

}  // namespace hidreamer::report
