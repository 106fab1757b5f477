#include "hidreamer/pipeline/imported_stage.h"

#include <fmt/format.h>
#include <zlib.h>

#include <nlohmann/json.hpp>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer::pipeline {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Of a model, or of a recording's manifest, which holds checksums of its own.
std::string ChecksumOf(const fs::path& folder) {
  const fs::path model = folder / "model.safetensors";
  const MappedFile file(fs::exists(model) ? model : folder / "store.json");
  return fmt::format("{:08x}",
                     ::crc32_z(0, reinterpret_cast<const unsigned char*>(file.bytes().data()),
                               file.bytes().size()));
}

}  // namespace

void WriteImportedStage(const fs::path& folder, ImportedStage stage) {
  stage.checksum = ChecksumOf(folder);
  const json record = {{"stage", stage.stage},
                       {"imported",
                        {{"file", stage.file},
                         {"what", stage.what},
                         {"checksum", stage.checksum},
                         {"settings", stage.settings},
                         {"embedding_width", stage.embedding_width},
                         {"actions", stage.actions}}}};
  WriteFileAtomically(folder / "stage.json", record.dump(2) + "\n");
}

std::optional<ImportedStage> ReadImportedStage(const fs::path& folder) {
  const fs::path path = folder / "stage.json";
  if (!fs::exists(path)) {
    return std::nullopt;
  }
  const json record = json::parse(ReadFile(path), nullptr, /*allow_exceptions=*/false);
  if (!record.is_object() || !record.contains("imported")) {
    return std::nullopt;
  }
  try {
    const json& imported = record.at("imported");
    return ImportedStage{.stage = record.at("stage"),
                         .file = imported.at("file"),
                         .what = imported.at("what"),
                         .checksum = imported.at("checksum"),
                         .settings = imported.at("settings"),
                         .embedding_width = imported.at("embedding_width"),
                         .actions = imported.at("actions")};
  } catch (const json::exception& error) {
    throw UserError("import it again", "{}: {}", path.string(), error.what());
  }
}

void CheckFreeForImport(const fs::path& folder) {
  std::error_code status;
  const bool free = !fs::exists(folder, status) ||
                    (fs::is_directory(folder, status) && fs::is_empty(folder, status));
  if (!free && !ReadImportedStage(folder)) {
    throw UserError("choose another --out, or move it away",
                    "{} is there already, and not from an earlier import", folder.string());
  }
}

}  // namespace hidreamer::pipeline
