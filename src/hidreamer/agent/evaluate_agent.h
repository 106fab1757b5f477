#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/agent/measurements.h"
#include "hidreamer/evaluation/evaluate_run.h"

namespace hidreamer::agent {

struct EvaluateOptions {
  MeasureOptions measure;
  int64_t episodes = 20;  // games that are scored
  std::string protocol = "atari100k";
  // Recordings that are judged on, and that probes are fitted on. Both empty: the agent plays
  // `recorded_steps` for each, kept in RUN/evaluation/played.
  std::filesystem::path held_out, fit;
  int64_t recorded_steps = 12000;
  std::vector<evaluation::Part> parts = evaluation::AllParts();
};

// Evaluates the agent of a run: scores, codes, one step, open loop, dreamed beside real rewards.
// Writes the parts to RUN/evaluation/NAME.json as evaluation::EvaluateRun does; parts that need
// what an agent does not have (embeddings) are passed over. Each figure is beside its baseline, and
// beside what is asked of it where that is known (docs/results.md).
std::vector<evaluation::Figure> EvaluateAgent(const std::filesystem::path& run,
                                              const EvaluateOptions& options);

}  // namespace hidreamer::agent
