#include "hidreamer/pipeline/stages.h"
#include "hidreamer/report/sections.h"

namespace hidreamer::pipeline {

Stage ReportStage() {
  const StageId id{.name = "report", .settings = "report", .folder = "report"};
  const auto work = [](StageContext& context) {
    // As text: nlohmann::json takes a path for a list of paths, without end.
    return nlohmann::json{{"file", report::WriteReport({context.run.path()}).filename().string()}};
  };
  return {.id = id, .headline = "write report.html", .work = work};
}

}  // namespace hidreamer::pipeline
