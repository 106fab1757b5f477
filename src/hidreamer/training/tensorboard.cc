#include "hidreamer/training/tensorboard.h"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <fstream>

#include "hidreamer/base/error.h"

namespace hidreamer::training {
namespace {

constexpr std::array<uint32_t, 256> MakeCrcTable() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
    }
    table[i] = crc;
  }
  return table;
}

// Little-endian bytes of a fixed-width number.
template <typename T>
std::string Fixed(T value) {
  std::string bytes(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i) {
    bytes[i] = static_cast<char>((value >> (8 * i)) & 0xff);
  }
  return bytes;
}

// Protocol-buffer wire format: varints, and fields keyed by number and wire type.
std::string Varint(uint64_t value) {
  std::string bytes;
  while (value >= 0x80) {
    bytes += static_cast<char>((value & 0x7f) | 0x80);
    value >>= 7;
  }
  bytes += static_cast<char>(value);
  return bytes;
}

enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string Key(uint64_t field, WireType type) { return Varint((field << 3) | type); }

std::string BytesField(uint64_t field, std::string_view bytes) {
  return Key(field, kBytes) + Varint(bytes.size()) + std::string(bytes);
}

std::string WallTime(double seconds) {
  return Key(1, kFixed64) + Fixed(std::bit_cast<uint64_t>(seconds));
}

std::string EncodeMetrics(const nlohmann::json& record) {
  const std::string group = record.contains("epoch") ? "epoch/" : "train/";
  std::vector<Scalar> scalars;
  for (const auto& [name, value] : record.items()) {
    if (value.is_number() && name != "step" && name != "time" && name != "epoch") {
      scalars.push_back({group + name, value.get<float>()});
    }
  }
  return EncodeRecord(
      EncodeScalarEvent(record.value("time", 0.0), record.value("step", int64_t{0}), scalars));
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = MakeCrcTable();
  uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  }
  return crc ^ 0xffffffffu;
}

uint32_t MaskedCrc32c(std::string_view bytes) {
  const uint32_t crc = Crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

std::string EncodeRecord(std::string_view bytes) {
  const std::string length = Fixed(static_cast<uint64_t>(bytes.size()));
  return length + Fixed(MaskedCrc32c(length)) + std::string(bytes) + Fixed(MaskedCrc32c(bytes));
}

std::string EncodeVersionEvent(double wall_time) {
  return WallTime(wall_time) + BytesField(3, "brain.Event:2");
}

std::string EncodeStartEvent(double wall_time, int64_t step) {
  constexpr uint64_t kStart = 1;  // SessionLog{status = 1}
  return WallTime(wall_time) + Key(2, kVarint) + Varint(static_cast<uint64_t>(step)) +
         BytesField(7, Key(1, kVarint) + Varint(kStart));
}

std::string EncodeScalarEvent(double wall_time, int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const Scalar& scalar : scalars) {
    // Summary.Value{tag = 1, simple_value = 2}
    summary += BytesField(1, BytesField(1, scalar.tag) + Key(2, kFixed32) +
                                 Fixed(std::bit_cast<uint32_t>(scalar.value)));
  }
  return WallTime(wall_time) + Key(2, kVarint) + Varint(static_cast<uint64_t>(step)) +
         BytesField(5, summary);
}

EventFile::EventFile(const std::filesystem::path& directory, double time, int64_t step) {
  // Files are read in the order of their names. Two within a second are one after the other.
  for (auto second = static_cast<int64_t>(time);; ++second) {
    path_ = directory / fmt::format("events.out.tfevents.{:010}.hidreamer", second);
    if (!std::filesystem::exists(path_)) {
      break;
    }
  }
  std::filesystem::create_directories(directory);
  Append(EncodeRecord(EncodeVersionEvent(time)) + EncodeRecord(EncodeStartEvent(time, step)));
}

void EventFile::Write(const nlohmann::json& record) { Append(EncodeMetrics(record)); }

void EventFile::Append(std::string_view bytes) {
  std::ofstream out(path_, std::ios::binary | std::ios::app);
  out << bytes;
  if (!out.flush()) {
    throw UserError("is the disk full?", "cannot write {}", path_.string());
  }
}

}  // namespace hidreamer::training
