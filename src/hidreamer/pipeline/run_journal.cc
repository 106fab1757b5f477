#include "hidreamer/pipeline/run_journal.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/config/stage_settings.h"
#include "hidreamer/pipeline/machine.h"
#include "hidreamer/pipeline/stage_files.h"
#include "hidreamer/training/checkpoint.h"
#include "hidreamer/training/runtime.h"

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

// The object in a file of ours, an empty one where there is none. What cannot be read is not
// absent: a user Error.
json ReadRecord(const fs::path& path, const std::string& key) {
  if (!fs::exists(path)) {
    return json::object();
  }
  json value = json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  if (!value.is_object() || !value.contains(key)) {
    throw UserError("choose another --out, or move it away if nobody needs it",
                    "{} is damaged, or was not written by hidreamer", path.string());
  }
  return value;
}

// Files that a run would replace, in a directory that is no run's.
fs::path CheckTakesARun(fs::path path) {
  constexpr const char* kElsewhere = "choose another --out, or move it away";
  std::error_code code;
  if (fs::exists(path, code) && !fs::is_directory(path, code)) {
    throw UserError("choose another --out", "{} is a file, not a directory", path.string());
  }
  if (!fs::exists(path / "run.json", code)) {
    for (const char* name : {"config.yaml", "summary.json", "report.html"}) {
      if (fs::exists(path / name, code)) {
        throw UserError(kElsewhere,
                        "{} is no run directory, but holds {}, which a run would replace",
                        path.string(), name);
      }
    }
  }
  return path;
}

// Nobody's files are trained over.
void CheckHoldsNothing(const StageRecord& stage) {
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(stage.folder, code)) {
    if (entry.path().extension() != ".partial") {
      throw UserError("move them away, or choose another --out",
                      "{} holds files, such as {}, but no record of {}", stage.folder.string(),
                      entry.path().filename().string(), stage.name);
    }
  }
}

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "an unknown machine";
}

void WriteObject(const fs::path& path, const json& value) {
  WriteFileAtomically(path, value.dump(2) + "\n");
}

// What a stage kept to go on from, once it is done.
void RemoveTraces(const StageRecord& stage) {
  std::error_code ignored;
  fs::remove(stage.folder / "begun.json", ignored);
  if (!stage.can_go_on) {
    fs::remove_all(stage.folder / "checkpoints", ignored);
  }
}

std::string FirstHash(const json& record) {
  return record.contains("first_hash")
             ? record["first_hash"].get<std::string>()
             : config::HashSettings(record["settings"].get<config::Settings>());
}

// The hash of the settings that a stage was begun with at first, which its checkpoints carry.
std::string FirstHashOf(const StageRecord& stage) {
  const json record = ReadRecord(stage.folder / "begun.json", "settings");
  return record.empty() ? config::HashSettings(stage.settings) : FirstHash(record);
}

// The settings that a stage was recorded with.
config::Settings SettingsIn(const json& record, const StageRecord& stage) {
  auto settings = config::WithKeysOfToday(record["settings"].get<config::Settings>());
  for (const auto& [key, value] : stage.defaults) {
    if (stage.settings.contains(key)) {
      settings.emplace(key, value);
    }
  }
  return settings;
}

// The settings before with those changes that the stage can go on with.
config::Settings WithAllowedChanges(const config::Settings& before, const config::Settings& now) {
  config::Settings settings = before;
  for (const auto& [key, value] : config::ChangedSettings(before, now)) {
    if (now.contains(key) && config::MayChange(key, value, now.at(key))) {
      settings[key] = now.at(key);
    }
  }
  return settings;
}

}  // namespace

RunJournal::RunJournal(fs::path path) : path_(CheckTakesARun(std::move(path))), made_(path_) {
  run_ = ReadRecord(path_ / "run.json", "calls");
  EnsureWritableDirectory(path_);
  Lock();
}

RunJournal::~RunJournal() {
  if (!fs::exists(path_ / "run.json")) {  // refused before any work
    ::unlink((path_ / ".lock").c_str());
  }
  if (::ftruncate(lock_, 0) != 0) {  // nobody works here any more
    spdlog::debug("cannot write {}: {}", (path_ / ".lock").string(), std::strerror(errno));
  }
  ::close(lock_);
}

void RunJournal::Lock() {
  const fs::path file = path_ / ".lock";
  lock_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) {
    throw UserError("choose a directory you may write to", "cannot write {}: {}", file.string(),
                    std::strerror(errno));
  }
  int result = 0;
  do {
    result = ::flock(lock_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) {
    const std::string owner = fmt::format("process {} on {}", ::getpid(), HostName());
    if (::ftruncate(lock_, 0) != 0 ||
        ::pwrite(lock_, owner.data(), owner.size(), 0) != std::ssize(owner)) {
      spdlog::debug("cannot write {}: {}", file.string(), std::strerror(errno));
    }
    return;
  }
  const int error = errno;
  if (error == ENOLCK || error == EOPNOTSUPP || error == ENOSYS) {
    spdlog::warn(
        "the file system of {} cannot lock files ({}); do not start a second process there",
        path_.string(), std::strerror(error));
    return;
  }
  ::close(lock_);
  if (error != EWOULDBLOCK) {
    throw UserError("", "cannot lock {}: {}", file.string(), std::strerror(error));
  }
  std::ifstream in(file);
  std::string owner;
  std::getline(in, owner);
  throw UserError("wait for it, or choose another --out", "another hidreamer process works in {}{}",
                  path_.string(), owner.empty() ? "" : ": " + owner);
}

void RunJournal::StartWork(const Work& work) {
  device_ = training::UseDevice(work.device);
  const json before = run_;
  threads_ = training::ConfigureRuntime(work.threads != 0 ? work.threads
                                                          : before.value("threads", int64_t{0}));
  if (before.contains("precision") && work.precision == "auto" &&
      before.value("device", work.device) == work.device) {
    precision_ = before["precision"] == layers::PrecisionName(layers::Precision::kBf16)
                     ? layers::Precision::kBf16
                     : layers::Precision::kF32;
  } else {
    precision_ = work.choose_precision(device_);
  }
  run_.update(work.facts);
  run_["device"] = work.device;
  run_["threads"] = threads_;
  run_["precision"] = layers::PrecisionName(precision_);
  run_["checkpoint_seconds"] = work.checkpoint_seconds;
  for (const char* key : {"device", "threads", "precision", "checkpoint_seconds"}) {
    if (before.contains(key) && before[key] != run_[key]) {
      spdlog::info("{}: {} before, {} now", key, before[key].dump(), run_[key].dump());
      changes_[key] = {{"before", before[key]}, {"now", run_[key]}};
    }
  }
  run_["versions"] = DescribeVersions();
  run_["machine"] = DescribeMachine();
  run_["calls"].push_back({{"command", work.command}, {"start", TimeNow()}});
  if (!run_.contains("start")) {
    run_["start"] = TimeNow();
  }
  Write();  // first: it makes the directory a run's
  WriteFileAtomically(path_ / "config.yaml", work.config_text);
}

void RunJournal::EndWork(const std::string& outcome) {
  json& call = run_["calls"].back();
  call["end"] = TimeNow();
  call["outcome"] = outcome;
  run_["end"] = TimeNow();
  run_["peak_memory_bytes"] =
      std::max(run_.value("peak_memory_bytes", int64_t{0}), PeakMemoryBytes());
  if (outcome == "done") {
    RemoveSetAside();
  }
  Write();
  for (const json& entry : run_.value("set_aside", json::array())) {
    spdlog::warn("what --force replaces is kept in {} until its stages are done again",
                 (path_ / entry["kept"].get<std::string>()).string());
  }
}

void RunJournal::DoWork(const std::function<void()>& work) {
  try {
    work();
  } catch (const Interrupted&) {
    EndWork("interrupted");
    throw;
  } catch (...) {
    EndWork("failed");
    throw;
  }
  EndWork("done");
}

StageState RunJournal::Inspect(const StageRecord& stage, bool force) const {
  const bool done = fs::exists(stage.folder / "stage.json");
  const json record = ReadRecord(stage.folder / (done ? "stage.json" : "begun.json"), "settings");
  if (record.empty()) {
    if (!stage.may_hold_files) {
      CheckHoldsNothing(stage);
    }
    return StageState::kToDo;
  }
  const config::Settings before = SettingsIn(record, stage);
  // What was recorded elsewhere is as it is, whatever the settings.
  const bool elsewhere =
      done && record.value(json::json_pointer("/summary/recorded_elsewhere"), false);
  if (before == stage.settings || elsewhere) {
    if (done) {
      RemoveTraces(stage);  // of a process killed in Finish
    }
    return done ? StageState::kDone : StageState::kBegun;
  }
  const std::string change = config::DescribeChange(before, stage.settings);
  if (force) {
    spdlog::warn("{} is redone: {}", stage.name, change);
    return StageState::kChanged;
  }
  const std::string fixed =
      config::DescribeChange(WithAllowedChanges(before, stage.settings), stage.settings);
  if (!fixed.empty()) {
    throw UserError(
        "choose another --out, or --force to redo this stage and those after it (learning rates, "
        "lengths and evaluations alone may change on the way)",
        "{} in {} was {} with other settings: {}", stage.name, path_.string(),
        done ? "done" : "begun", fixed);
  }
  if (done && !stage.can_go_on) {
    throw UserError(
        "--force redoes this stage and those after it; or choose another --out",
        "{} in {} is done; once done it cannot be gone on with under other settings: {}",
        stage.name, path_.string(), change);
  }
  return StageState::kBegun;
}

void RunJournal::SetAside(const std::vector<StageRecord>& stages,
                          const std::vector<std::string>& more) {
  if (stages.empty()) {
    return;
  }
  std::vector<std::string> names = more;
  json until = json::array();
  for (const StageRecord& stage : stages) {
    names.push_back(stage.folder.lexically_relative(path_).generic_string());
    until.push_back(names.back() + "/stage.json");
  }
  const std::string kept = FreeName(path_, "before");
  const fs::path directory = path_ / kept;
  EnsureWritableDirectory(directory);
  for (const char* name : {"config.yaml", "run.json", "summary.json", "report.html"}) {
    if (fs::exists(path_ / name)) {
      fs::copy_file(path_ / name, directory / name);
    }
  }
  run_.emplace("calls", json::array());
  run_["set_aside"].push_back({{"kept", kept}, {"until", until}});
  Write();
  for (const std::string& name : names) {
    if (fs::exists(path_ / name)) {
      EnsureWritableDirectory((directory / name).parent_path());
      Rename(path_ / name, directory / name);
    }
  }
}

void RunJournal::RemoveSetAside() {
  json left = json::array();
  for (const json& entry : run_.value("set_aside", json::array())) {
    const json& until = entry["until"];
    // What belongs together goes together: nothing before all that replaces it stands.
    const bool stands = std::all_of(until.begin(), until.end(), [&](const json& record) {
      return fs::exists(path_ / record.get<std::string>());
    });
    if (!stands) {
      left.push_back(entry);
    } else {
      RemoveStageFiles(path_ / entry["kept"].get<std::string>());
    }
  }
  run_["set_aside"] = left;
}

config::Settings RunJournal::Begin(const StageRecord& stage) {
  const fs::path begun = stage.folder / "begun.json", done = stage.folder / "stage.json";
  json record = ReadRecord(begun, "settings");
  if (record.empty()) {
    record = ReadRecord(done, "settings");
  }
  config::Settings before, changed;
  std::string first_hash = config::HashSettings(stage.settings);
  if (!record.empty()) {
    before = SettingsIn(record, stage);
    changed = config::ChangedSettings(before, stage.settings);
    first_hash = FirstHash(record);
  }
  json settings = std::exchange(changes_, json());
  for (const auto& [key, old] : changed) {
    const auto now = stage.settings.find(key);
    settings[key] = {{"before", old}, {"now", now == stage.settings.end() ? "" : now->second}};
  }
  if (!settings.empty()) {
    const int64_t update = training::UpdatesOfNewestCheckpoint(stage.folder / "checkpoints");
    if (!changed.empty()) {
      spdlog::info("{} goes on at update {} with other settings: {}", stage.name, update,
                   config::DescribeChange(before, stage.settings));
    }
    run_["changes"].push_back(
        {{"stage", stage.name}, {"update", update}, {"time", TimeNow()}, {"settings", settings}});
    Write();
  }
  WriteObject(begun, {{"settings", stage.settings}, {"first_hash", first_hash}});
  std::error_code ignored;
  fs::remove(done, ignored);  // it is gone on with
  return changed;
}

void RunJournal::Finish(const StageRecord& stage, double seconds, const json& summary) {
  const std::string finished = TimeNow();
  WriteObject(stage.folder / "stage.json", {{"stage", stage.name},
                                            {"settings", stage.settings},
                                            {"config_hash", config::HashSettings(stage.settings)},
                                            {"first_hash", FirstHashOf(stage)},
                                            {"seed", run_.value("seed", json())},
                                            {"seconds", seconds},
                                            {"finished", finished},
                                            {"summary", summary}});
  RemoveTraces(stage);
  run_["stages"][stage.name] = {{"seconds", seconds}, {"finished", finished}};
  Write();
}

json RunJournal::Identity(const StageRecord& stage) const {
  const json versions = DescribeVersions();
  return {{"config", FirstHashOf(stage)}, {"seed", run_.value("seed", json())},
          {"threads", threads_},          {"precision", layers::PrecisionName(precision_)},
          {"torch", versions["torch"]},   {"hidreamer", versions["hidreamer"]}};
}

void RunJournal::Write() const { WriteObject(path_ / "run.json", run_); }

}  // namespace hidreamer::pipeline
