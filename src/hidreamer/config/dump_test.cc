#include "hidreamer/config/dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hidreamer/config/load.h"

namespace hidreamer::config {
namespace {

using ::testing::HasSubstr;

TEST(DumpConfig, ReadsBackToTheSameConfig) {
  Config config;
  config.seed = 123456789012345;
  config.encoder.lr = 1.0 / 3.0;
  config.games = {"catch"};
  config.collect.policy = "runs/it's: a # run";
  config.tokenizer.single_vq = false;
  config.tokenizer.commitment_costs = {1e-7, 2, 3.25};
  EXPECT_EQ(Flatten(ParseConfig(DumpConfig(config), "dump")), Flatten(config));
}

TEST(DumpConfig, StatesUnitRangeAndChoices) {
  const std::string text = DumpConfig(Config{});
  EXPECT_THAT(text, HasSubstr("  # agent steps to record of each game [steps, 16 to 1000000000]\n"
                              "  steps: 100000\n"));
  EXPECT_THAT(text, HasSubstr("[auto | f32 | bf16]\nprecision: auto\n"));
}

TEST(AllKeys, EveryKeyIsDumpedOnceAndHasHelp) {
  const std::vector<std::string> keys = AllKeys();
  EXPECT_EQ(keys.size(), Flatten(Config{}).size());
  EXPECT_GT(keys.size(), 60u);
  EXPECT_EQ(keys.front(), "schedule");
  EXPECT_THAT(DumpConfig(Config{}), ::testing::Not(HasSubstr("# \n")));
}

TEST(FormerKeys, NoneIsAKeyOfToday) {
  for (const char* schedule : {kStaged, kOnline}) {
    for (const std::string& key : AllKeys(schedule)) {
      EXPECT_FALSE(FormerKeys().contains(key)) << key;
    }
  }
  EXPECT_EQ(WithKeysOfToday({{"policy.sees", "codes"}, {"seed", "1"}}),
            (Settings{{"policy.features", "codes"}, {"seed", "1"}}));
}

TEST(HashSettings, ChangesWithAnyValue) {
  const Settings settings = Flatten(Config{});
  for (const auto& [key, value] : settings) {
    Settings changed = settings;
    changed[key] = value + "1";
    EXPECT_NE(HashSettings(changed), HashSettings(settings)) << key;
  }
  EXPECT_EQ(HashSettings(settings).size(), 16u);
}

}  // namespace
}  // namespace hidreamer::config
