#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace hidreamer::app {

struct WeightsImport {
  std::filesystem::path file;
  std::filesystem::path out;  // a stage's folder
  std::string prefix;         // of the names in the file; empty: where a known model is found
  int64_t heads = 0;          // 0: width / 64
  std::string mask = "reference";
};

// Writes model.safetensors and stage.json of the encoder, quantizer or world model in the file, and
// says what it was. Throws a user Error where none is there, or several.
void ImportWeights(const WeightsImport& arguments);

}  // namespace hidreamer::app
