#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/evaluation/figure.h"
#include "hidreamer/report/image.h"

namespace hidreamer::report {

// Log and figures of one training stage.
struct StageData {
  std::string name;  // "encoder", "policy/pong"
  bool done = false;
  nlohmann::json stage = {};                 // stage.json: durations, seed, …
  std::vector<nlohmann::json> metrics = {};  // metrics.jsonl
  std::vector<evaluation::Figure> figures = {};
};

// All that the page shows, read from a run directory; whatever is not there stays empty.
struct ReportData {
  std::string title;
  nlohmann::json run = {};  // run.json: versions, machine, seed
  std::string config = {};  // config.yaml
  std::vector<evaluation::Figure> figures = {};
  std::vector<StageData> stages = {};
  // RUN/evaluation/NAME.json by NAME: "play_pong_atari100k", "probe_pong", "open_loop_pong",
  // "codes", "dream_pong", "masks", …; see docs/data_formats.md.
  std::map<std::string, nlohmann::json> parts = {};
  nlohmann::json curve = {};         // RUN/agent/curve.json of an online agent; before it is
                                     // finished, of its metrics
  std::string dream_animation = {};  // RUN/agent/dream.webp, the file's bytes
  bool is_agent = false;             // the run of an online agent
  // A stored frame of a game; an empty picture where the frames are not there.
  std::function<Image(const std::string& game, int64_t row)> frame = {};

  // Parts whose name starts with `prefix`, in order.
  std::vector<std::pair<std::string, const nlohmann::json*>> PartsOf(
      const std::string& prefix) const;
  const nlohmann::json* Part(const std::string& name) const;
};

// Folders of a run in which something is or was trained: "agent", "encoder", …, "policy/GAME".
std::vector<std::string> StagesOf(const std::filesystem::path& run);

// What an agent's metrics say of its score, as curve.json does: {"over", "steps", "training_games",
// "evaluations", "random"}, over real steps ("steps") or updates of the policy ("updates").
nlohmann::json CurveOf(const std::vector<nlohmann::json>& metrics, const std::string& over);

// Throws a user Error if the directory is missing. A file that cannot be read is named in the log
// and left out.
ReportData LoadReportData(const std::filesystem::path& run);

}  // namespace hidreamer::report
