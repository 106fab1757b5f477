#include "hidreamer/training/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/files.h"

namespace hidreamer::training {
namespace {

namespace fs = std::filesystem;

std::string Bytes(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) {
    bytes += static_cast<char>(value);
  }
  return bytes;
}

TEST(Crc32c, GivesThePublishedSums) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);              // the CRC catalogue's check value
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);    // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(EncodeScalarEvent, IsTheProtocolBufferByByte) {
  const std::string event = EncodeScalarEvent(1.5, 300, {{"loss", 0.25f}});
  EXPECT_EQ(event, Bytes({0x09, 0,    0,    0,    0,   0,   0, 0xf8, 0x3f,  // wall_time = 1.5
                          0x10, 0xac, 0x02,                                 // step = 300
                          0x2a, 0x0d, 0x0a, 0x0b,                           // summary, value
                          0x0a, 0x04, 'l',  'o',  's', 's',                 // tag
                          0x15, 0,    0,    0x80, 0x3e}));                  // simple_value = 0.25
}

TEST(EncodeRecord, FramesBytesWithLengthAndSums) {
  const std::string record = EncodeRecord("abc");
  ASSERT_EQ(record.size(), 8u + 4u + 3u + 4u);
  EXPECT_EQ(record.substr(0, 8), Bytes({3, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(record.substr(12, 3), "abc");
  const uint32_t sum = MaskedCrc32c("abc");
  EXPECT_EQ(record.substr(15),
            Bytes({static_cast<int>(sum & 0xff), static_cast<int>(sum >> 8 & 0xff),
                   static_cast<int>(sum >> 16 & 0xff), static_cast<int>(sum >> 24)}));
}

TEST(EventFile, AppendingEqualsRewriting) {
  const fs::path a = fs::temp_directory_path() / ("hid_tb_a_" + std::to_string(::getpid()));
  const fs::path b = fs::temp_directory_path() / ("hid_tb_b_" + std::to_string(::getpid()));
  const nlohmann::json step = {{"step", 1}, {"time", 5.0}, {"loss", 0.5}, {"note", "text"}};
  const nlohmann::json epoch = {{"step", 1}, {"epoch", 1}, {"time", 5.0}, {"loss", 0.75}};
  WriteEventFile(a, {step, epoch});
  WriteEventFile(b, {step});
  AppendToEventFile(b, epoch);
  const auto content = [](const fs::path& directory) {
    return ReadFile(fs::directory_iterator(directory)->path());
  };
  EXPECT_EQ(content(a), content(b));
  EXPECT_NE(content(a).find("brain.Event:2"), std::string::npos);
  EXPECT_NE(content(a).find("train/loss"), std::string::npos);
  EXPECT_NE(content(a).find("epoch/loss"), std::string::npos);
  EXPECT_EQ(content(a).find("note"), std::string::npos);
  fs::remove_all(a);
  fs::remove_all(b);
}

}  // namespace
}  // namespace hidreamer::training
