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
#include "hidreamer/nn/runtime.h"
#include "hidreamer/pipeline/machine.h"

namespace hidreamer::pipeline {
namespace fs = std::filesystem;
using nlohmann::json;

std::string TimeNow() {
  const auto now =
      std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

json ReadJsonObject(const fs::path& path) {
  if (!fs::exists(path)) {
    return json::object();
  }
  json value = json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  return value.is_object() ? value : json::object();
}

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
    precision_ = work.choose_precision();
  }
  run_.update(work.facts);
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

void RunJournal::FinishStage(const std::string& name, double seconds) {
  run_["stages"][name] = {{"seconds", seconds}, {"finished", TimeNow()}};
  Write();
}

json RunJournal::Identity() const {
  const json versions = DescribeVersions();
  return {{"seed", run_.value("seed", json())},
          {"threads", threads_},
          {"precision", nn::PrecisionName(precision_)},
          {"torch", versions["torch"]},
          {"hidreamer", versions["hidreamer"]}};
}

void RunJournal::Write() const { WriteFileAtomically(path_ / "run.json", run_.dump(2) + "\n"); }

}  // namespace hidreamer::pipeline
