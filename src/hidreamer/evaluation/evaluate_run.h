#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/config/config.h"
#include "hidreamer/evaluation/figure.h"

namespace hidreamer::evaluation {

// What can be judged of a run. Each part reads what it needs from the run directory and writes
// RUN/evaluation/NAME.json; a part that was measured under the same settings, and whose file is
// newer than all it reads, is kept as it is.
enum class Part { kEmbedding, kCodes, kProbe, kPrediction, kOpenLoop, kDream, kOutcomes, kPlay };
const std::vector<Part>& AllParts();

// Judges the run: all parts for which the artefacts are there, each figure beside its baseline.
// Missing ones are named in the log and as figures without a value. Throws Interrupted on Ctrl-C;
// the same call goes on with the parts not yet done.
std::vector<Figure> EvaluateRun(const std::filesystem::path& run, const config::Config& config,
                                const std::vector<Part>& parts = AllParts());

}  // namespace hidreamer::evaluation
