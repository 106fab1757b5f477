#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "hidreamer/report/metrics_file.h"

namespace hidreamer::report {

// A JSON file that is read again when it changed. One that is missing or damaged is null.
class WatchedJson {
 public:
  explicit WatchedJson(std::filesystem::path path) : path_(std::move(path)) {}
  void Follow();
  const nlohmann::json& value() const { return value_; }

 private:
  std::filesystem::path path_;
  std::vector<int64_t> stamp_;  // inode, size, time of the last change
  nlohmann::json value_;
};

// How far a stage of training is and how fast it goes.
struct Pace {
  int64_t updates = 0, total = 0;  // total 0: not known
  double per_second = 0;           // updates, over the last minutes; 0: not known
  double last = 0;                 // when the last record was written, seconds since 1970
};

// A run directory as it changes while the run trains, for a page that shows it. It only reads, and
// each line of metrics once, however many pages ask.
class RunWatch {
 public:
  RunWatch(std::filesystem::path run, std::string name);
  ~RunWatch();

  // Takes in what is new. A file that cannot be read is named in the answer.
  void Follow();

  // {"name", "path", "agent": whether it is an online agent's, "games", "seed", "steps", "state":
  //  "training" | "finished" | "interrupted" | "failed" | "stopped", "error",
  //  "stages": [{"name", "done", "active", "updates", "total", "per_second", "last", "seconds",
  //              "generation", "first", "count", "keys": […], "rows": "[…],[…]"}]}
  // A row holds the numbers of a record in the order of keys, null where it has none; keys are
  // those of the records and "hours" of training, without the time between two calls, and
  // "per_second": updates since the record before. `seen` holds {STAGE: [generation, count]}: rows
  // before count are left out where they are the same still.
  nlohmann::json Answer(const nlohmann::json& seen) const;

  Pace PaceOf(const std::string& stage) const;
  std::string State() const;

 private:
  struct Stage;

  void FollowStage(Stage& stage);
  bool Restarted(double from, double to) const;  // a call began between the two
  int64_t TotalUpdates(const Stage& stage) const;
  Pace PaceOf(const Stage& stage) const;

  std::filesystem::path run_;
  std::string name_, error_;
  WatchedJson journal_;         // run.json
  std::vector<double> starts_;  // of calls, seconds since 1970
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace hidreamer::report
