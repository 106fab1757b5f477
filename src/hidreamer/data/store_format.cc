#include "hidreamer/data/store_format.h"

#include <zlib.h>

#include <nlohmann/json.hpp>

#include "hidreamer/env/environment.h"

namespace hidreamer::data::store_format {

Layout ComputeLayout(uint64_t rows, uint64_t blocks) {
  constexpr uint64_t kAlignment = 64;
  Layout layout;
  layout.bytes = {rows,
                  rows,
                  rows,
                  rows,
                  rows * sizeof(float),
                  rows * env::kRamBytes,
                  blocks * sizeof(uint32_t),
                  (blocks + 1) * sizeof(uint64_t)};
  for (size_t c = 0; c < kColumnCount; ++c) {
    layout.begin[c] = layout.total;
    layout.total += (layout.bytes[c] + kAlignment - 1) / kAlignment * kAlignment;
  }
  return layout;
}

uint32_t Checksum(std::string_view bytes) {
  return static_cast<uint32_t>(
      ::crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

DirectoryKind Recording() {
  return {.name = "a recording",
          .manifest = kManifestFile,
          .is_ours =
              [](const std::string& text) {
                const auto manifest = nlohmann::json::parse(text, nullptr, false);
                return manifest.is_object() &&
                       manifest.value("format", nlohmann::json()) == kFormatName;
              },
          .files = {kColumnsFile, kFramesFile, "stage.json", "import.json"}};
}

}  // namespace hidreamer::data::store_format
