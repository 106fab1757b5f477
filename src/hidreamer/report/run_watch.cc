#include "hidreamer/report/run_watch.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/report/report_data.h"

namespace hidreamer::report {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

constexpr double kPaceSeconds = 600;  // an evaluation on the way weighs little in so many

double RecordNumber(const json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_number() ? found->get<double>() : std::nan("");
}

// "2026-01-31T12:00:00Z" in seconds since 1970.
double SecondsOf(const std::string& time) {
  std::tm parts = {};
  return ::strptime(time.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) == nullptr
             ? std::nan("")
             : static_cast<double>(::timegm(&parts));
}

// Whether the process that RUN/.lock names, "process 12 on HOST", is known to be gone. Asking for
// the lock itself could turn away a run that begins at this moment.
bool OwnerIsGone(const fs::path& lock) {
  std::ifstream in(lock);
  std::string word, on, host;
  int64_t process = 0;
  if (!(in >> word >> process >> on >> host)) {
    return true;  // nobody works here
  }
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  std::error_code code;
  return host == name && !fs::exists(fmt::format("/proc/{}", process), code);
}

}  // namespace

void WatchedJson::Follow() {
  struct stat now = {};
  std::vector<int64_t> stamp;
  if (::stat(path_.c_str(), &now) == 0) {
    stamp = {static_cast<int64_t>(now.st_ino), now.st_size, now.st_mtim.tv_sec,
             now.st_mtim.tv_nsec};
  }
  if (stamp == stamp_) {
    return;
  }
  stamp_ = stamp;
  value_ = nullptr;
  if (!stamp.empty()) {
    value_ = json::parse(ReadFile(path_), nullptr, /*allow_exceptions=*/false);
    value_ = value_.is_object() ? std::move(value_) : json();
  }
}

struct RunWatch::Stage {
  Stage(const fs::path& run, std::string stage)
      : name(std::move(stage)),
        folder(run / name),
        metrics(folder / "metrics.jsonl"),
        length(folder / "training.json"),
        begun(folder / "begun.json"),
        done(folder / "stage.json") {}

  std::string name;
  fs::path folder;
  MetricsFile metrics;
  WatchedJson length, begun, done;
  int64_t generation = -1;
  std::vector<std::string> keys;  // only ever more of them
  std::string rows;               // "[…],[…]"
  std::vector<size_t> ends;       // of each row in `rows`
  double seconds = 0;             // trained up to the last row
};

RunWatch::RunWatch(fs::path run, std::string name)
    : run_(std::move(run)), name_(std::move(name)), journal_(run_ / "run.json") {}

RunWatch::~RunWatch() = default;

bool RunWatch::Restarted(double from, double to) const {
  return std::any_of(starts_.begin(), starts_.end(),
                     [&](double start) { return start > from && start <= to; });
}

void RunWatch::FollowStage(Stage& stage) {
  stage.length.Follow();
  stage.begun.Follow();
  stage.done.Follow();
  stage.metrics.Follow();
  if (stage.metrics.generation() != stage.generation) {
    stage.generation = stage.metrics.generation();
    stage.keys = {"step", "hours", "per_second"};
    stage.rows.clear();
    stage.ends.clear();
    stage.seconds = 0;
  }
  const std::vector<json>& records = stage.metrics.records();
  for (size_t i = stage.ends.size(); i < records.size(); ++i) {
    double rate = std::nan("");
    if (i > 0) {
      const double before = RecordNumber(records[i - 1], "time"),
                   now = RecordNumber(records[i], "time");
      const double updates =
          RecordNumber(records[i], "step") - RecordNumber(records[i - 1], "step");
      if (now > before && !Restarted(before, now)) {
        stage.seconds += now - before;
        rate = updates > 0 ? updates / (now - before) : rate;
      }
    }
    for (const auto& [key, value] : records[i].items()) {
      if (value.is_number() && key != "time" &&
          std::find(stage.keys.begin(), stage.keys.end(), key) == stage.keys.end()) {
        stage.keys.push_back(key);
      }
    }
    std::string row;
    for (const std::string& key : stage.keys) {
      const double value = key == "hours"        ? stage.seconds / 3600
                           : key == "per_second" ? rate
                                                 : RecordNumber(records[i], key.c_str());
      const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
      row += row.empty() ? "[" : ",";
      row += !std::isfinite(value) ? "null"
             : whole               ? fmt::format("{:.0f}", value)
                                   : fmt::format("{:.5g}", value);
    }
    stage.rows += (stage.rows.empty() ? "" : ",") + row + "]";
    stage.ends.push_back(stage.rows.size());
  }
}

void RunWatch::Follow() {
  error_.clear();
  try {
    journal_.Follow();
    starts_.clear();
    if (journal_.value().is_object()) {
      for (const json& call : journal_.value().value("calls", json::array())) {
        starts_.push_back(SecondsOf(call.value("start", "")));
      }
    }
    for (const std::string& name : StagesOf(run_)) {
      if (std::none_of(stages_.begin(), stages_.end(),
                       [&](const auto& stage) { return stage->name == name; })) {
        stages_.push_back(std::make_unique<Stage>(run_, name));
      }
    }
    for (const auto& stage : stages_) {
      FollowStage(*stage);
    }
  } catch (const std::exception& error) {
    error_ = error.what();
  }
}

int64_t RunWatch::TotalUpdates(const Stage& stage) const {
  if (const json& length = stage.length.value(); length.is_object()) {
    return length.value("updates", int64_t{0});
  }
  // An agent that was begun before that file was written.
  const json& record = stage.begun.value().is_object() ? stage.begun.value() : stage.done.value();
  try {
    const json settings = record.value("settings", json::object());
    return std::stoll(settings.at("steps").get<std::string>()) /
           std::stoll(settings.at("collect.steps_per_update").get<std::string>());
  } catch (const std::exception&) {
    return 0;
  }
}

Pace RunWatch::PaceOf(const Stage& stage) const {
  Pace pace{.total = TotalUpdates(stage)};
  const std::vector<json>& records = stage.metrics.records();
  if (records.empty()) {
    return pace;
  }
  pace.updates = static_cast<int64_t>(RecordNumber(records.back(), "step"));
  pace.last = RecordNumber(records.back(), "time");
  // Steps that were played before any network learned tell nothing of what follows.
  const bool learning = std::any_of(records.rbegin(), records.rend(),
                                    [](const json& record) { return record.contains("loss"); });
  size_t first = records.size() - 1;
  while (first > 0) {
    const json& before = records[first - 1];
    const double time = RecordNumber(before, "time");
    if ((learning && !before.contains("loss") && !before.contains("epoch")) ||
        time < pace.last - kPaceSeconds || Restarted(time, pace.last)) {
      break;
    }
    --first;
  }
  const double seconds = pace.last - RecordNumber(records[first], "time");
  const double updates =
      RecordNumber(records.back(), "step") - RecordNumber(records[first], "step");
  pace.per_second = seconds > 0 && updates > 0 ? updates / seconds : 0;
  return pace;
}

Pace RunWatch::PaceOf(const std::string& name) const {
  for (const auto& stage : stages_) {
    if (stage->name == name) {
      return PaceOf(*stage);
    }
  }
  return {};
}

std::string RunWatch::State() const {
  const json& journal = journal_.value();
  const json calls = journal.is_object() ? journal.value("calls", json::array()) : json::array();
  if (calls.empty()) {
    return "finished";  // a published agent
  }
  const std::string outcome = calls.back().value("outcome", "");
  if (!outcome.empty()) {
    return outcome == "done" ? "finished" : outcome;
  }
  return OwnerIsGone(run_ / ".lock") ? "stopped" : "training";
}

json RunWatch::Answer(const json& seen) const {
  const std::string state = State();
  const json journal = journal_.value().is_object() ? journal_.value() : json::object();
  json stages = json::array();
  for (const auto& stage : stages_) {
    const Pace pace = PaceOf(*stage);
    const bool done = stage->done.value().is_object();
    const size_t count = stage->ends.size();
    const json had = seen.is_object() ? seen.value(stage->name, json()) : json();
    size_t first = 0;
    if (had.is_array() && had.size() == 2 && had[0] == stage->generation &&
        had[1].is_number_unsigned() && had[1] <= count) {
      first = had[1].get<size_t>();
    }
    const size_t begin = first == 0 ? 0 : std::min(stage->ends[first - 1] + 1, stage->rows.size());
    stages.push_back({{"name", stage->name},
                      {"done", done},
                      {"active", !done && state == "training"},
                      {"updates", pace.updates},
                      {"total", pace.total},
                      {"per_second", pace.per_second},
                      {"last", pace.last},
                      {"seconds", stage->seconds},
                      {"generation", stage->generation},
                      {"first", first},
                      {"count", count},
                      {"keys", stage->keys},
                      {"rows", stage->rows.substr(begin)}});
  }
  return {{"name", name_},
          {"path", run_.string()},
          {"agent", fs::is_directory(run_ / "agent")},
          {"games", journal.value("games", json::array())},
          {"seed", journal.value("seed", json())},
          {"state", state},
          {"error", error_},
          {"stages", stages}};
}

}  // namespace hidreamer::report
