#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "hidreamer/agent/online_learner.h"
#include "hidreamer/config/config.h"
#include "hidreamer/pipeline/run_journal.h"

// What `hidreamer agent` and the training of an agent's parts have in common.
namespace hidreamer::pipeline {

// RUN/agent, done under all settings but those that change nothing of what is learned.
StageRecord AgentStage(const config::Config& config, const std::filesystem::path& run);
RunJournal::Work AgentWork(const config::Config& config, const std::string& command);

// Beside it: a recording of the first game of the last evaluation while training.
inline constexpr char kLastGame[] = "last_game";

enum class CurveOver { kSteps, kUpdates };  // real steps of the agent, updates of a part of it

// Writes RUN/agent/curve.json for the report: the games played while learning, and the scores of
// RUN/agent/metrics.jsonl beside random play.
void WriteCurve(const std::filesystem::path& run, const config::Config& config,
                const std::vector<agent::TrainingGame>& games, CurveOver over);

// Writes RUN/agent/dream.webp: the agent's dream beside a game that it plays.
void WriteFilm(const std::filesystem::path& run, const config::Config& config);

}  // namespace hidreamer::pipeline
