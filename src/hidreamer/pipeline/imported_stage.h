#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "hidreamer/config/dump.h"

namespace hidreamer::pipeline {

// A stage whose artefact came through `hidreamer import`. Its folder's stage.json says what is
// known of it in place of the settings that it was made under; a run takes it as done.
struct ImportedStage {
  std::string stage = {};          // collect, encoder, tokenizer or world_model
  std::string file = {};           // name of the file it came from
  std::string what = {};           // for a person
  std::string checksum = {};       // of the artefact; what is made from it depends on it
  config::Settings settings = {};  // what the artefact fixes: a run's config has to agree
  int64_t embedding_width = 0;     // of an encoder or tokenizer
  int64_t actions = 0;             // of a world model
};

// Writes the folder's stage.json; `checksum` is taken from the artefact that lies there.
void WriteImportedStage(const std::filesystem::path& folder, ImportedStage stage);
// Nothing where the folder holds no stage that was imported.
std::optional<ImportedStage> ReadImportedStage(const std::filesystem::path& folder);

// Throws a user Error if something lies at `folder` that no import put there: a stage that was
// trained, or any file of the user's.
void CheckFreeForImport(const std::filesystem::path& folder);

}  // namespace hidreamer::pipeline
