#include "hidreamer/config/stage_settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hidreamer::config {
namespace {

TEST(StageSettings, AChangeReachesItsStageAndThoseAfterIt) {
  Config changed;
  changed.tokenizer.codes = 64;
  for (const char* before : {"collect", "encoder", "embed"}) {
    EXPECT_EQ(ConfigHash(changed, before), ConfigHash({}, before)) << before;
  }
  for (const char* after :
       {"tokenizer", "tokenize", "world_model", "policy", "evaluate", "report"}) {
    EXPECT_NE(ConfigHash(changed, after), ConfigHash({}, after)) << after;
  }
}

TEST(StageSettings, EveryKeyBelongsToTheLastStageOrIsOperational) {
  const Settings last = StageSettings({}, "report");
  for (const std::string& key : AllKeys()) {
    const bool operational = key == "schedule" || key == "threads" || key == "device" ||
                             key == "precision" || key == "checkpoint_seconds";
    EXPECT_NE(last.contains(key), operational) << key;
  }
}

TEST(StageSettings, AnotherGameDoesNotTouchWhatWasCollected) {
  Config changed;
  changed.games.push_back("catch");
  EXPECT_EQ(ConfigHash(changed, "collect"), ConfigHash({}, "collect"));
  EXPECT_NE(ConfigHash(changed, "encoder"), ConfigHash({}, "encoder"));
}

TEST(MayChange, LearningRatesAndLengthsButNotWhatIsBuiltIn) {
  EXPECT_TRUE(MayChange("world_model.lr", "0.001", "0.0005"));
  EXPECT_TRUE(MayChange("steps", "1600", "2400"));
  EXPECT_TRUE(MayChange("evaluation.probe_frames", "100", "200"));
  EXPECT_FALSE(MayChange("policy.gamma", "0.99", "0.9"));
  EXPECT_FALSE(MayChange("world_model.lr", "", "0.0005"));          // an older version's settings
  EXPECT_FALSE(MayChange("world_model.matrix_lr", "0", "0.0005"));  // another optimizer
  // Every learning rate there is.
  for (const auto& keys : {AllKeys(), AllKeys(kOnline)}) {
    for (const std::string& key : keys) {
      EXPECT_TRUE(!key.ends_with("lr") || MayChange(key, "1", "2")) << key;
    }
  }
}

TEST(DescribeChange, NamesTheKeysThatDiffer) {
  Config changed;
  changed.world_model.width = 192;
  const Settings before = StageSettings({}, "world_model");
  EXPECT_EQ(DescribeChange(before, StageSettings(changed, "world_model")),
            "world_model.width: 384 before, 192 now");
  EXPECT_EQ(DescribeChange(before, before), "");
}

}  // namespace
}  // namespace hidreamer::config
