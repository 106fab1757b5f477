#include "hidreamer/pipeline/stages.h"
#include "hidreamer/report/sections.h"

namespace hidreamer::pipeline {

Stage ReportStage() {
  const StageId id{.name = "report", .settings = "report", .folder = "report"};
  const auto work = [](StageContext& context) {
    return nlohmann::json{{"path", report::WriteReport(context.run.path()).filename()}};
  };
  return {.id = id, .headline = "write report.html", .work = work};
}

}  // namespace hidreamer::pipeline
