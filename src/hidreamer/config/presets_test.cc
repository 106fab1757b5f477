#include "hidreamer/config/presets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/temporary_directory.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/load.h"

namespace hidreamer::config {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(Presets, AreTheFilesOfConfigs) {
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(HID_SOURCE_DIR) / "configs")) {
    if (entry.is_regular_file()) {
      const std::string name = entry.path().stem().string();
      ASSERT_TRUE(Presets().contains(name)) << entry.path() << " is not listed in CMakeLists.txt";
      EXPECT_EQ(Presets().at(name), ReadFile(entry.path()));
      EXPECT_TRUE(names.insert(name).second) << "two files called " << name;
    }
  }
  EXPECT_EQ(names.size(), Presets().size());
}

TEST(Presets, AnUnknownNameIsAnsweredWithTheKnownOnes) {
  try {
    Preset("tpu");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no preset 'tpu'"));
    EXPECT_THAT(error.hint(), HasSubstr("cpu, debug, gpu"));
  }
}

TEST(Presets, AFileExtendsOneByName) {
  const TemporaryDirectory directory("presets");
  const fs::path file = directory.path() / "mine.yaml";
  WriteFileAtomically(file, "extends: gpu\nworld_model: {width: 96}\n");
  const Config config = LoadConfig(kOnline, {.file = file, .overrides = {"seed=3"}});
  EXPECT_EQ(config.world_model.width, 96);
  EXPECT_EQ(config.world_model.channels, Preset("gpu").world_model.channels);
  EXPECT_EQ(config.seed, 3);
}

TEST(Presets, WhatDefaultsPrintsReadsBackToTheBit) {
  const TemporaryDirectory directory("presets");
  for (const auto& entry : Presets()) {
    const Config preset = Preset(entry.first);
    const fs::path file = directory.path() / "dump.yaml";
    WriteFileAtomically(file, DumpConfig(preset));
    EXPECT_EQ(DumpConfig(LoadConfig(preset.schedule, {.file = file})), DumpConfig(preset))
        << entry.first;
  }
}

}  // namespace
}  // namespace hidreamer::config
