#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hidreamer::report {

// metrics.jsonl of a stage, read on as it grows: each line is parsed once. A run that resumes from
// a checkpoint trains some updates again; the later records replace those of the same updates and
// all after them, so that its curve is one.
class MetricsFile {
 public:
  explicit MetricsFile(std::filesystem::path path);

  // Takes in the lines that are whole; true where records came or went. No file: no records.
  // Throws a user Error where it is there and cannot be read.
  bool Follow();
  const std::vector<nlohmann::json>& records() const { return records_; }
  // Another number wherever records that were there before are there no more.
  int64_t generation() const { return generation_; }

 private:
  void Add(nlohmann::json record);
  void Restart();

  std::filesystem::path path_;
  uint64_t file_ = 0;  // its inode: a resumed run writes a new one
  size_t read_ = 0;    // bytes
  std::string begun_;  // a line of which the end is not there yet
  int64_t generation_ = 0;
  std::vector<nlohmann::json> records_;
};

}  // namespace hidreamer::report
