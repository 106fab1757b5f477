#include "hidreamer/evaluation/evaluate_run.h"
#include "hidreamer/pipeline/stages.h"

namespace hidreamer::pipeline {

Stage EvaluateStage() {
  const StageId id{.name = "evaluate", .settings = "evaluate", .folder = "evaluation"};
  const auto work = [](StageContext& context) {
    const std::filesystem::path& run = context.run.path();
    const std::vector<evaluation::Figure> figures = evaluation::EvaluateRun(run, context.config);
    evaluation::WriteFigures(run / "summary.json", figures);
    return nlohmann::json{{"figures", figures.size()}};
  };
  return {.id = id, .headline = "judge every part", .work = work};
}

}  // namespace hidreamer::pipeline
