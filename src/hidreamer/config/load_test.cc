#include "hidreamer/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/config/dump.h"
#include "hidreamer/config/presets.h"

namespace hidreamer::config {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Config Parse(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return ParseConfig(text, "a.yaml", overrides);
}

// Message and hint of the user error that `text` gives.
std::string ErrorOf(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    Parse(text, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser);
    return std::string(error.what()) + " | " + error.hint();
  }
  return "no error";
}

TEST(LoadConfig, EmptyTextGivesTheDefaults) {
  EXPECT_EQ(Flatten(Parse("")), Flatten(Config{}));
  EXPECT_EQ(Flatten(Parse("# only a comment\nencoder:\n")), Flatten(Config{}));
}

TEST(LoadConfig, ReadsEveryType) {
  const Config config = Parse(
      "seed: 7\nprecision: bf16\ngames: [catch, pong]\n"
      "tokenizer: {commitment_costs: [1, 2.5, 3e-1], revive_dead_codes: false}\n"
      "encoder:\n  lr: 1e-3\n");
  EXPECT_EQ(config.seed, 7);
  EXPECT_EQ(config.precision, "bf16");
  EXPECT_THAT(config.games, ElementsAre("catch", "pong"));
  EXPECT_THAT(config.tokenizer.commitment_costs, ElementsAre(1.0, 2.5, 0.3));
  EXPECT_FALSE(config.tokenizer.revive_dead_codes);
  EXPECT_DOUBLE_EQ(config.encoder.lr, 1e-3);
}

TEST(LoadConfig, OptionsComeAfterTheFile) {
  const Config config = Parse("seed: 7\nworld_model: {width: 96, layers: 2}\n",
                              {"world_model.width=192", "games=pong,catch", "policy_games=[catch]",
                               "collect.policy=runs/a b", "seed=8", "seed=9"});
  EXPECT_EQ(config.world_model.width, 192);
  EXPECT_EQ(config.world_model.layers, 2);
  EXPECT_THAT(config.games, ElementsAre("pong", "catch"));
  EXPECT_THAT(config.policy_games, ElementsAre("catch"));
  EXPECT_EQ(config.collect.policy, "runs/a b");
  EXPECT_EQ(config.seed, 9);
}

TEST(LoadConfig, UnknownKeysNameTheLineAndTheNearestKey) {
  const std::string error = ErrorOf("seed: 1\nworld_model:\n  layers: 2\n  widht: 3\n");
  EXPECT_THAT(error, HasSubstr("a.yaml:4: unknown key 'world_model.widht'"));
  EXPECT_THAT(error, HasSubstr("did you mean 'world_model.width'?"));
  EXPECT_THAT(ErrorOf("wrld_model: {width: 8}\n"), HasSubstr("did you mean 'world_model'?"));
  EXPECT_THAT(ErrorOf("", {"policy.horizn=3"}),
              HasSubstr("--set policy.horizn=3: unknown key 'policy.horizn' | did you mean "
                        "'policy.horizon'?"));
}

TEST(LoadConfig, AKeyInTheWrongPlaceIsPointedToItsSection) {
  EXPECT_THAT(ErrorOf("horizon: 3\n"), HasSubstr("did you mean 'policy.horizon'?"));
}

TEST(LoadConfig, WrongTypesAreErrors) {
  EXPECT_THAT(ErrorOf("\nseed: many\n"),
              HasSubstr("a.yaml:2: seed must be a whole number, not many"));
  EXPECT_THAT(ErrorOf("seed: 1.5\n"), HasSubstr("seed must be a whole number, not 1.5"));
  EXPECT_THAT(ErrorOf("encoder: {lr: fast}\n"), HasSubstr("encoder.lr must be a number"));
  EXPECT_THAT(ErrorOf("encoder: {lr: .nan}\n"), HasSubstr("encoder.lr must be a number"));
  EXPECT_THAT(ErrorOf("tokenizer: {single_vq: 3}\n"), HasSubstr("must be true or false, not 3"));
  EXPECT_THAT(ErrorOf("games: pong\n"), HasSubstr("games must be a list, not pong | write [pong]"));
  EXPECT_THAT(ErrorOf("precision: [f32]\n"), HasSubstr("precision must be a text, not [f32]"));
  EXPECT_THAT(ErrorOf("encoder: 3\n"), HasSubstr("a.yaml:1: encoder is a section"));
  EXPECT_THAT(ErrorOf("", {"seed="}), HasSubstr("--set seed=: seed must be a whole number"));
}

TEST(LoadConfig, NumbersMeanWhatTheySayInDecimal) {
  EXPECT_EQ(Parse("seed: 010\n").seed, 10);
  EXPECT_EQ(Parse("", {"seed=007"}).seed, 7);
  EXPECT_EQ(Parse("collect: {steps: 1e5}\n").collect.steps, 100000);
  EXPECT_EQ(Parse("", {"collect.steps=2.5e4"}).collect.steps, 25000);
  EXPECT_DOUBLE_EQ(Parse("encoder: {lr: 01e-3}\n").encoder.lr, 1e-3);
  for (const char* text :
       {"0x10", "0o10", "1_000", "1e-1", "9223372036854775808", ".inf", "5 000"}) {
    EXPECT_THAT(ErrorOf("", {std::string("seed=") + text}),
                HasSubstr("seed must be a whole number"))
        << text;
    EXPECT_THAT(ErrorOf(std::string("seed: ") + text + "\n"),
                HasSubstr("seed must be a whole number"))
        << text;
  }
  EXPECT_THAT(ErrorOf("", {"seed=-5"}), HasSubstr("seed = -5 is out of range"));
  EXPECT_THAT(ErrorOf("encoder: {lr: 0x1}\n"), HasSubstr("encoder.lr must be a number"));
}

TEST(LoadConfig, ValuesOutOfRangeAreErrors) {
  EXPECT_THAT(ErrorOf("world_model:\n  dropout: 1.5\n"),
              HasSubstr("a.yaml:2: world_model.dropout = 1.5 is out of range, 0 to 0.9"));
  EXPECT_THAT(ErrorOf("collect: {steps: 3}\n"), HasSubstr("16 to 1000000000 steps"));
  EXPECT_THAT(ErrorOf("tokenizer: {commitment_costs: [0.1, -1, 0.3]}\n"),
              HasSubstr("tokenizer.commitment_costs = -1 is out of range"));
  const std::string choice = ErrorOf("world_model: {mask: refrence}\n");
  EXPECT_THAT(choice, HasSubstr("must be one of reference, strict, causal"));
  EXPECT_THAT(choice, HasSubstr("did you mean 'reference'?"));
  EXPECT_THAT(ErrorOf("evaluation: {protocols: [v5, v6]}\n"), HasSubstr("'v6'"));
}

TEST(LoadConfig, AKeyGivenTwiceIsAnError) {
  EXPECT_THAT(ErrorOf("seed: 1\ngames: [pong]\nseed: 2\n"),
              HasSubstr("a.yaml:3: 'seed' is given twice"));
}

TEST(LoadConfig, BrokenYamlNamesTheLine) {
  EXPECT_THAT(ErrorOf("seed: 1\ngames: [pong\nencoder: x: y\n"), HasSubstr("a.yaml:"));
  EXPECT_THAT(ErrorOf("- a\n- b\n"), HasSubstr("not a map of keys"));
  EXPECT_THAT(ErrorOf("", {"seed"}), HasSubstr("not of the form key=value"));
  EXPECT_THAT(ErrorOf("", {"games=[a"}), HasSubstr("--set games=[a"));
}

TEST(LoadConfig, ValuesMustFitEachOther) {
  EXPECT_THAT(ErrorOf("world_model:\n  width: 100\n  heads: 6\n"),
              HasSubstr("world_model.width (a.yaml:2) = 100 is not a multiple of world_model.heads "
                        "(a.yaml:3) = 6"));
  EXPECT_THAT(ErrorOf("tokenizer: {levels: 2}\n"),
              HasSubstr("tokenizer.commitment_costs has 3 entries, but tokenizer.levels"));
  EXPECT_THAT(ErrorOf("tokenizer: {levels: 2, commitment_costs: [1, 1]}\n"),
              HasSubstr("world_model.loss_weights has 3 entries"));
  EXPECT_THAT(
      ErrorOf("world_model: {window: 65}\n"),
      HasSubstr("world_model.window (a.yaml:1) = 65 is more than world_model.max_steps = 64"));
  EXPECT_THAT(ErrorOf("policy: {horizon: 60}\n"), HasSubstr("= 76 is more than"));
  EXPECT_THAT(ErrorOf("games: []\n"), HasSubstr("games (a.yaml:1) is empty"));
  EXPECT_THAT(ErrorOf("games: [pong, pong]\n"), HasSubstr("names pong twice"));
  EXPECT_THAT(ErrorOf("policy_games: [asteroids]\n"), HasSubstr("which is not in games"));
}

TEST(LoadConfig, AKeyOfTheOtherScheduleIsRefusedWithTheReason) {
  EXPECT_THAT(ErrorOf("seed: 1\npolicy: {start_after: 3}\n"),
              HasSubstr("a.yaml:2: 'policy.start_after' means nothing under schedule: staged | "
                        "hidreamer agent has it"));
  EXPECT_THAT(ErrorOf("replay: {recent_share: 1}\n"), HasSubstr("'replay' means nothing under"));
  EXPECT_THAT(ErrorOf("schedule: online\n"),
              HasSubstr("a.yaml:1: schedule is online, not staged | hidreamer agent takes it"));
  EXPECT_THAT(ErrorOf("policy: {features: codes+hidden}\n"), HasSubstr("one of codes, hidden"));
  EXPECT_THAT([] { LoadConfig(kOnline, {.overrides = {"split.by=episode"}}); },
              ::testing::ThrowsMessage<Error>(HasSubstr("'split' means nothing under")));
  EXPECT_THAT([] { LoadConfig(kOnline, {.file = "debug"}); }, ::testing::Throws<Error>());
}

TEST(LoadConfig, OnlineValuesMustFitEachOther) {
  for (const char* setting :
       {"collect.steps_per_update=12", "world_model.window=10", "world_model.heads=3",
        "world_model.local_frames=9", "tokenizer.grid=3",
        "world_model.kind=token",  // 24 steps of 8 x 8 x 3 codes
        "tokenizer.fsq_levels=[2.5]", "steps=2000", "tokenizer.gird=8"}) {
    EXPECT_THROW(LoadConfig(kOnline, {.overrides = {setting}}), Error) << setting;
  }
  EXPECT_THAT([] { LoadConfig(kOnline, {.overrides = {"world_model.window=10"}}); },
              ::testing::ThrowsMessage<Error>(
                  HasSubstr("policy.context (cpu.yaml:")));  // where the other value stands
}

TEST(LoadConfig, KeysOfOlderVersionsAreUnderstood) {
  EXPECT_EQ(Parse("policy:\n  feature: codes\n").policy.features, "codes");
  const Config config = LoadConfig(
      kOnline,
      {.overrides = {"tokenizer.head_start=8", "policy.sees=hidden", "policy.passes=2",
                     "tokenizer.quantizer=rvq", "tokenizer.rvq_levels=2", "tokenizer.rvq_codes=16",
                     "tokenizer.rvq_dim=8", "protocol=v5", "collect.behaviour=random",
                     "evaluations=3", "evaluation_episodes=4"}});
  EXPECT_EQ(config.tokenizer.warmup_updates, 8);
  EXPECT_EQ(config.policy.features, "hidden");
  EXPECT_EQ(config.policy.ppo_epochs, 2);
  EXPECT_EQ(config.tokenizer.levels, 2);
  EXPECT_EQ(config.tokenizer.codes, 16);
  EXPECT_EQ(config.tokenizer.dim, 8);
  EXPECT_EQ(config.collect.protocol, "v5");
  EXPECT_EQ(config.collect.policy, "random");
  EXPECT_EQ(config.evaluation.times, 3);
  EXPECT_EQ(config.evaluation.episodes, 4);
  EXPECT_THAT(ErrorOf("policy:\n  feature: codes\n  features: hidden\n"),
              HasSubstr("a.yaml:2: policy.feature is what policy.features was called"));
  EXPECT_THAT(ErrorOf("policy:\n  feature: pixels\n"),
              HasSubstr("a.yaml:2: policy.features is 'pixels'"));
}

class ConfigFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("hid_config_" + std::to_string(::getpid()));
    fs::create_directories(directory_ / "sub");
  }
  void TearDown() override { fs::remove_all(directory_); }

  void Write(const std::string& name, const std::string& text) const {
    WriteFileAtomically(directory_ / name, text);
  }

  fs::path directory_;
};

TEST_F(ConfigFiles, ExtendsIsReadFirstAndRelativeToTheFile) {
  Write("base.yaml", "seed: 5\nworld_model: {layers: 2, width: 96}\n");
  Write("sub/a.yaml", "extends: ../base.yaml\nworld_model: {layers: 3}\n");
  const Config config = LoadConfig(kStaged, {.file = directory_ / "sub/a.yaml"});
  EXPECT_EQ(config.seed, 5);
  EXPECT_EQ(config.world_model.layers, 3);
  EXPECT_EQ(config.world_model.width, 96);
}

TEST_F(ConfigFiles, ErrorsInTheExtendedFileNameThatFile) {
  Write("base.yaml", "seed: x\n");
  Write("a.yaml", "extends: base.yaml\n");
  EXPECT_THAT([&] { LoadConfig(kStaged, {.file = directory_ / "a.yaml"}); },
              ::testing::ThrowsMessage<Error>(HasSubstr("base.yaml:1: seed")));
}

TEST_F(ConfigFiles, MissingAndCircularFilesAreErrors) {
  Write("a.yaml", "extends: b.yaml\n");
  Write("b.yaml", "extends: a.yaml\n");
  EXPECT_THAT([&] { LoadConfig(kStaged, {.file = directory_ / "a.yaml"}); },
              ::testing::ThrowsMessage<Error>(HasSubstr("extends itself")));
  EXPECT_THAT([&] { LoadConfig(kStaged, {.file = directory_ / "none.yaml"}); },
              ::testing::ThrowsMessage<Error>(HasSubstr("none.yaml")));
}

TEST(ShippedConfigs, SeedIsTheDefaultsAndNamesEveryKey) {
  EXPECT_EQ(Flatten(Preset("seed")), Flatten(Config{}));
  // The file is the documented dump below its own heading, so no key, unit or range is missing.
  EXPECT_THAT(Presets().at("seed"), HasSubstr(DumpConfig(Config{})));
}

}  // namespace
}  // namespace hidreamer::config
