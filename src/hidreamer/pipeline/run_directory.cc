#include "hidreamer/pipeline/run_directory.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

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

std::string Now() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

// An empty object where the file is missing or no JSON object.
json ReadObject(const fs::path& path) {
  if (!fs::exists(path)) {
    return json::object();
  }
  json value = json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  return value.is_object() ? value : json::object();
}

void WriteObject(const fs::path& path, const json& value) {
  WriteFileAtomically(path, value.dump(2) + "\n");
}

}  // namespace

RunDirectory::RunDirectory(fs::path path, const config::ExperimentConfig& config)
    : path_(std::move(path)), config_(config) {
  EnsureWritableDirectory(path_);
  Lock();
  run_ = ReadObject(path_ / "run.json");
}

RunDirectory::~RunDirectory() { ::close(lock_); }

void RunDirectory::Lock() {
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

StageState RunDirectory::Inspect(const StageId& stage, bool force) {
  const fs::path folder = Folder(stage);
  const bool done = fs::exists(folder / "stage.json");
  const json record = ReadObject(folder / (done ? "stage.json" : "begun.json"));
  if (!record.contains("settings")) {
    return StageState::kToDo;
  }
  const auto before = record["settings"].get<config::Settings>();
  const config::Settings now = config::StageSettings(config_, stage.settings);
  if (before == now) {
    return done ? StageState::kDone : StageState::kBegun;
  }
  if (!force) {
    throw UserError("choose another --out, or --force to redo this stage and those after it",
                    "{} in {} was {} with other settings: {}", stage.name, path_.string(),
                    done ? "done" : "begun", config::DescribeChange(before, now));
  }
  spdlog::warn("{} is redone: {}", stage.name, config::DescribeChange(before, now));
  fs::remove_all(folder);
  return StageState::kToDo;
}

void RunDirectory::Begin(const StageId& stage) {
  WriteObject(Folder(stage) / "begun.json",
              {{"settings", config::StageSettings(config_, stage.settings)}});
}

void RunDirectory::Finish(const StageId& stage, double seconds, const json& summary) {
  const config::Settings settings = config::StageSettings(config_, stage.settings);
  WriteObject(Folder(stage) / "stage.json", {{"stage", stage.name},
                                             {"settings", settings},
                                             {"config_hash", config::HashSettings(settings)},
                                             {"seed", config_.seed},
                                             {"seconds", seconds},
                                             {"finished", Now()},
                                             {"summary", summary}});
  std::error_code ignored;
  fs::remove(Folder(stage) / "begun.json", ignored);
  fs::remove_all(Folder(stage) / "checkpoints", ignored);
  run_["stages"][stage.name] = {{"seconds", seconds}, {"finished", Now()}};
  Write();
}

void RunDirectory::StartWork(const std::string& command) {
  WriteFileAtomically(path_ / "config.yaml", config::DumpConfig(config_));
  const int64_t kept = run_.value("threads", int64_t{0});
  if (kept != 0 && config_.threads != 0 && kept != config_.threads) {
    spdlog::warn("this run keeps the {} threads it was started with", kept);
  }
  threads_ = nn::ConfigureRuntime(kept != 0 ? kept : config_.threads);
  if (run_.contains("precision")) {
    precision_ = run_["precision"] == nn::PrecisionName(nn::Precision::kBf16) ? nn::Precision::kBf16
                                                                              : nn::Precision::kF32;
  } else {
    const config::WorldModelConfig& world = config_.world_model;
    precision_ = nn::ChoosePrecision(config_.precision,
                                     world.batch * world.window * (config_.tokenizer.levels + 1),
                                     world.width);
  }
  run_["threads"] = threads_;
  run_["precision"] = nn::PrecisionName(precision_);
  run_["seed"] = config_.seed;
  run_["games"] = config_.games;
  run_["versions"] = DescribeVersions();
  run_["machine"] = DescribeMachine();
  run_["calls"].push_back({{"command", command}, {"start", Now()}});
  if (!run_.contains("start")) {
    run_["start"] = Now();
  }
  Write();
}

void RunDirectory::EndWork(const std::string& outcome) {
  json& call = run_["calls"].back();
  call["end"] = Now();
  call["outcome"] = outcome;
  run_["end"] = Now();
  run_["peak_memory_bytes"] =
      std::max(run_.value("peak_memory_bytes", int64_t{0}), PeakMemoryBytes());
  Write();
}

json RunDirectory::Identity(const StageId& stage) const {
  const json versions = DescribeVersions();
  return {{"config", config::ConfigHash(config_, stage.settings)},
          {"seed", config_.seed},
          {"threads", threads_},
          {"precision", nn::PrecisionName(precision_)},
          {"torch", versions["torch"]},
          {"hidreamer", versions["hidreamer"]}};
}

void RunDirectory::Write() const { WriteObject(path_ / "run.json", run_); }

}  // namespace hidreamer::pipeline
