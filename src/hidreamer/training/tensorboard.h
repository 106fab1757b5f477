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

// Event{wall_time = 1: double, step = 2: int64, file_version = 3: string, summary = 5: Summary}.
std::string EncodeVersionEvent(double wall_time);
std::string EncodeScalarEvent(double wall_time, int64_t step, const std::vector<Scalar>& scalars);

// Rewrites directory/events.out.tfevents.… from metric records: the numbers of {"step", "time", …}
// as train/NAME, those of records with "epoch" too as epoch/NAME.
void WriteEventFile(const std::filesystem::path& directory,
                    const std::vector<nlohmann::json>& records);

// Appends one record to the file that WriteEventFile wrote.
void AppendToEventFile(const std::filesystem::path& directory, const nlohmann::json& record);

}  // namespace hidreamer::training
