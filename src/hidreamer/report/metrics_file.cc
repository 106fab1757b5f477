#include "hidreamer/report/metrics_file.h"

#include <sys/stat.h>

#include <fstream>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer::report {
namespace {

int64_t StepOf(const nlohmann::json& record) {
  const auto step = record.find("step");
  return step != record.end() && step->is_number() ? step->get<int64_t>() : 0;
}

}  // namespace

MetricsFile::MetricsFile(std::filesystem::path path) : path_(std::move(path)) {}

void MetricsFile::Restart() {
  read_ = 0;
  begun_.clear();
  if (!records_.empty()) {
    records_.clear();
    ++generation_;
  }
}

void MetricsFile::Add(nlohmann::json record) {
  if (!record.is_object()) {
    return;
  }
  // An epoch's record follows that of its last update, whose step it carries.
  const int64_t step = StepOf(record);
  const bool epoch = record.contains("epoch");
  const size_t before = records_.size();
  while (!records_.empty()) {
    const nlohmann::json& last = records_.back();
    const int64_t newest = StepOf(last);
    if (newest < step || (newest == step && epoch && !last.contains("epoch"))) {
      break;
    }
    records_.pop_back();
  }
  generation_ += records_.size() < before ? 1 : 0;
  records_.push_back(std::move(record));
}

bool MetricsFile::Follow() {
  struct stat now = {};
  if (::stat(path_.c_str(), &now) != 0) {
    const bool had = !records_.empty();
    Restart();
    return had;
  }
  const auto size = static_cast<size_t>(now.st_size);
  const bool had = !records_.empty();
  if (now.st_ino != file_ || size < read_) {
    Restart();
    file_ = now.st_ino;
  } else if (size == read_) {
    return false;
  }
  std::ifstream in(path_, std::ios::binary);
  std::string bytes(size - read_, '\0');
  in.seekg(static_cast<std::streamoff>(read_));
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!in.is_open() || in.bad()) {
    throw UserError("make it readable and try again", "cannot read {}", path_.string());
  }
  bytes.resize(static_cast<size_t>(in.gcount()));
  read_ += bytes.size();
  begun_ += bytes;
  bool came = had && records_.empty();
  size_t at = 0;
  for (size_t end = begun_.find('\n'); end != std::string::npos; end = begun_.find('\n', at)) {
    Add(nlohmann::json::parse(begun_.begin() + static_cast<std::ptrdiff_t>(at),
                              begun_.begin() + static_cast<std::ptrdiff_t>(end), nullptr,
                              /*allow_exceptions=*/false));
    came = true;
    at = end + 1;
  }
  begun_.erase(0, at);
  return came;
}

}  // namespace hidreamer::report
