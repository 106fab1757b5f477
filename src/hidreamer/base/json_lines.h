#pragma once

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

namespace hidreamer {

// Appends one JSON object a line. Non-finite numbers are written as null.
class JsonLinesWriter {
 public:
  // Opens for appending. Throws a user Error if it cannot be written.
  explicit JsonLinesWriter(const std::filesystem::path& path);
  ~JsonLinesWriter();
  JsonLinesWriter(const JsonLinesWriter&) = delete;
  JsonLinesWriter& operator=(const JsonLinesWriter&) = delete;

  void Write(const nlohmann::json& record);

 private:
  std::FILE* file_;
};

// All whole records of a file; a last line cut short by a crash is dropped. Missing file: empty.
// Throws a user Error where it is there and cannot be read.
std::vector<nlohmann::json> ReadJsonLines(const std::filesystem::path& path);

// Rewrites the file with the records whose integer field `key` is at most `last` (a run killed
// after its checkpoint has written metrics that the resumed run will write again).
void TruncateJsonLines(const std::filesystem::path& path, const std::string& key, int64_t last);

}  // namespace hidreamer
