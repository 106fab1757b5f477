#include "hidreamer/base/json_lines.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer {

JsonLinesWriter::JsonLinesWriter(const std::filesystem::path& path)
    : file_(std::fopen(path.c_str(), "ab")) {
  if (file_ == nullptr) {
    throw UserError("", "cannot write {}: {}", path.string(), std::strerror(errno));
  }
}

JsonLinesWriter::~JsonLinesWriter() { std::fclose(file_); }

void JsonLinesWriter::Write(const nlohmann::json& record) {
  const std::string line = record.dump() + "\n";
  std::fwrite(line.data(), 1, line.size(), file_);
  std::fflush(file_);
}

std::vector<nlohmann::json> ReadJsonLines(const std::filesystem::path& path) {
  std::vector<nlohmann::json> records;
  std::ifstream in(path);
  if (std::error_code code; !in && (std::filesystem::exists(path, code) || code)) {
    throw UserError("make it readable and try again", "cannot read {}", path.string());
  }
  for (std::string line; std::getline(in, line);) {
    nlohmann::json record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (record.is_object()) {
      records.push_back(std::move(record));
    }
  }
  return records;
}

void TruncateJsonLines(const std::filesystem::path& path, const std::string& key, int64_t last) {
  std::string kept;
  for (const nlohmann::json& record : ReadJsonLines(path)) {
    if (record.value(key, int64_t{0}) <= last) {
      kept += record.dump() + "\n";
    }
  }
  if (!kept.empty() || std::filesystem::exists(path)) {
    WriteFileAtomically(path, kept);
  }
}

}  // namespace hidreamer
