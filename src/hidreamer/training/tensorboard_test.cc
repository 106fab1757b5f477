#include "hidreamer/training/tensorboard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"

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

TEST(EncodeStartEvent, IsTheProtocolBufferByByte) {
  EXPECT_EQ(EncodeStartEvent(1.5, 3), Bytes({0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f,  // wall_time = 1.5
                                             0x10, 0x03,                          // step = 3
                                             0x3a, 0x02, 0x08, 0x01}));  // session_log: START
}

TEST(EventFile, IsOneOfEachCall) {
  const TemporaryDirectory directory(fs::temp_directory_path() /
                                     ("hid_events_" + std::to_string(::getpid())));
  const nlohmann::json step = {{"step", 1}, {"time", 5.0}, {"loss", 0.5}, {"note", "text"}};
  const nlohmann::json epoch = {{"step", 1}, {"epoch", 1}, {"time", 5.0}, {"loss", 0.75}};
  EventFile first(directory.path(), 5.25, 1);
  first.Write(step);
  first.Write(epoch);
  EventFile second(directory.path(), 5.75, 2);
  const std::string bytes = ReadFile(directory.path() / "events.out.tfevents.0000000005.hidreamer");
  EXPECT_NE(bytes.find("brain.Event:2"), std::string::npos);
  EXPECT_NE(bytes.find("train/loss"), std::string::npos);
  EXPECT_NE(bytes.find("epoch/loss"), std::string::npos);
  EXPECT_EQ(bytes.find("note"), std::string::npos);
  EXPECT_EQ(ReadFile(directory.path() / "events.out.tfevents.0000000006.hidreamer"),
            EncodeRecord(EncodeVersionEvent(5.75)) + EncodeRecord(EncodeStartEvent(5.75, 2)));
}

}  // namespace
}  // namespace hidreamer::training
