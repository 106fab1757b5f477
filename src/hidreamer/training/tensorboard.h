#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

// TensorBoard event files: length-prefixed records with masked CRC-32C sums (TFRecord), each an
// Event message of tensorflow/core/util/event.proto, of which scalars are all that is written here.
namespace hidreamer::training {

struct Scalar {
  std::string tag;
  float value = 0;
};

// CRC-32C (Castagnoli, polynomial 0x82f63b78 reflected), and TFRecord's masked form of it.
uint32_t Crc32c(std::string_view bytes);
uint32_t MaskedCrc32c(std::string_view bytes);

// One whole record: u64 length, masked CRC of the length, bytes, masked CRC of the bytes.
std::string EncodeRecord(std::string_view bytes);

// Event{wall_time = 1: double, step = 2: int64, file_version = 3: string, summary = 5: Summary,
// session_log = 7: SessionLog}. A start event
// discards all earlier events of its step and later.
std::string EncodeVersionEvent(double wall_time);
std::string EncodeStartEvent(double wall_time, int64_t step);
std::string EncodeScalarEvent(double wall_time, int64_t step, const std::vector<Scalar>& scalars);

// A new file directory/events.out.tfevents.TIME.hidreamer, TIME in seconds. Every call that trains
// writes its own, so that an open TensorBoard shows a resumed run as one curve.
class EventFile {
 public:
  // Records of `step` and later in older files are discarded. Throws a user Error if the file
  // cannot be written.
  EventFile(const std::filesystem::path& directory, double time, int64_t step);

  // The numbers of {"step", "time", …} as train/NAME, those of records with "epoch" as epoch/NAME.
  void Write(const nlohmann::json& record);

 private:
  void Append(std::string_view bytes);

  std::filesystem::path path_;
};

}  // namespace hidreamer::training
