#include "hidreamer/pipeline/run_journal.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/stage_settings.h"
#include "hidreamer/nn/runtime.h"
#include "hidreamer/pipeline/machine.h"

namespace hidreamer::pipeline {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// UTC, "2026-01-31T12:00:00Z".
std::string TimeNow() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

// An empty object where the file is missing or no JSON object.
json ReadJsonObject(const fs::path& path) {
  if (!fs::exists(path)) {
    return json::object();
  }
  json value = json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  return value.is_object() ? value : json::object();
}

void WriteObject(const fs::path& path, const json& value) {
  WriteFileAtomically(path, value.dump(2) + "\n");
}

// What a stage kept to go on from, once it is done.
void RemoveTraces(const fs::path& folder) {
  std::error_code ignored;
  fs::remove(folder / "begun.json", ignored);
  fs::remove_all(folder / "checkpoints", ignored);
}

}  // namespace

RunJournal::RunJournal(fs::path path) : path_(std::move(path)) {
  EnsureWritableDirectory(path_);
  Lock();
  run_ = ReadJsonObject(path_ / "run.json");
}

RunJournal::~RunJournal() { ::close(lock_); }

void RunJournal::Lock() {
  const fs::path file = path_ / ".lock";
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) {
    throw UserError("choose a directory you may write to", "cannot write {}", file.string());
  }
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock_);
    throw UserError("wait for it, or choose another --out", "another hidreamer process works in {}",
                    path_.string());
  }
}

void RunJournal::StartWork(const Work& work) {
  device_ = nn::UseDevice(work.device);
  WriteFileAtomically(path_ / "config.yaml", work.config_text);
  const int64_t kept = run_.value("threads", int64_t{0});
  if (kept != 0 && work.threads != 0 && kept != work.threads) {
    spdlog::warn("this run keeps the {} threads it was started with", kept);
  }
  threads_ = nn::ConfigureRuntime(kept != 0 ? kept : work.threads);
  if (run_.contains("precision")) {
    precision_ = run_["precision"] == nn::PrecisionName(nn::Precision::kBf16) ? nn::Precision::kBf16
                                                                              : nn::Precision::kF32;
  } else {
    precision_ = work.choose_precision(device_);
  }
  run_.update(work.facts);
  run_["device"] = work.device;
  run_["threads"] = threads_;
  run_["precision"] = nn::PrecisionName(precision_);
  run_["versions"] = DescribeVersions();
  run_["machine"] = DescribeMachine();
  run_["calls"].push_back({{"command", work.command}, {"start", TimeNow()}});
  if (!run_.contains("start")) {
    run_["start"] = TimeNow();
  }
  Write();
}

void RunJournal::EndWork(const std::string& outcome) {
  json& call = run_["calls"].back();
  call["end"] = TimeNow();
  call["outcome"] = outcome;
  run_["end"] = TimeNow();
  run_["peak_memory_bytes"] =
      std::max(run_.value("peak_memory_bytes", int64_t{0}), PeakMemoryBytes());
  Write();
}

StageState RunJournal::Inspect(const StageRecord& stage, bool force) const {
  const bool done = fs::exists(stage.folder / "stage.json");
  const json record = ReadJsonObject(stage.folder / (done ? "stage.json" : "begun.json"));
  if (!record.contains("settings")) {
    return StageState::kToDo;
  }
  const auto before = record["settings"].get<config::Settings>();
  if (before == stage.settings) {
    if (done) {
      RemoveTraces(stage.folder);  // of a process killed in Finish
    }
    return done ? StageState::kDone : StageState::kBegun;
  }
  const std::string change = config::DescribeChange(before, stage.settings);
  if (!force) {
    throw UserError("choose another --out, or --force to redo this stage and those after it",
                    "{} in {} was {} with other settings: {}", stage.name, path_.string(),
                    done ? "done" : "begun", change);
  }
  spdlog::warn("{} is redone: {}", stage.name, change);
  fs::remove_all(stage.folder);
  return StageState::kToDo;
}

void RunJournal::Begin(const StageRecord& stage) {
  WriteObject(stage.folder / "begun.json", {{"settings", stage.settings}});
}

void RunJournal::Finish(const StageRecord& stage, double seconds, const json& summary) {
  const std::string finished = TimeNow();
  WriteObject(stage.folder / "stage.json", {{"stage", stage.name},
                                            {"settings", stage.settings},
                                            {"config_hash", config::HashSettings(stage.settings)},
                                            {"seed", run_.value("seed", json())},
                                            {"seconds", seconds},
                                            {"finished", finished},
                                            {"summary", summary}});
  RemoveTraces(stage.folder);
  run_["stages"][stage.name] = {{"seconds", seconds}, {"finished", finished}};
  Write();
}

json RunJournal::Identity(const StageRecord& stage) const {
  const json versions = DescribeVersions();
  return {{"config", config::HashSettings(stage.settings)},
          {"seed", run_.value("seed", json())},
          {"threads", threads_},
          {"precision", nn::PrecisionName(precision_)},
          {"torch", versions["torch"]},
          {"hidreamer", versions["hidreamer"]}};
}

void RunJournal::Write() const { WriteObject(path_ / "run.json", run_); }

}  // namespace hidreamer::pipeline
