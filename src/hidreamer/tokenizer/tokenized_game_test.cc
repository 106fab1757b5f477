#include "hidreamer/tokenizer/tokenized_game.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"

namespace hidreamer::tokenizer {
namespace {

TokenizedGame SmallGame() {
  return {.game = "catch",
          .tokens = torch::tensor({{0, 3}, {1, 2}, {3, 3}}),
          .actions = torch::tensor({0, 2, 1}),
          .rewards = torch::tensor({0.0F, 1.0F, -1.0F}),
          .terminals = torch::tensor({0, 1, 0}, torch::kUInt8),
          .truncateds = torch::tensor({0, 0, 1}, torch::kUInt8),
          .episodes = {{0, 2}, {2, 3}},
          .num_actions = 3,
          .codes = 4};
}

class TokenizedGameFile : public testing::Test {
 protected:
  std::filesystem::path path_ = std::filesystem::temp_directory_path() /
                                (std::to_string(getpid()) + "_hid_tokenized_game.safetensors");
  ~TokenizedGameFile() override { std::filesystem::remove(path_); }
};

TEST_F(TokenizedGameFile, ComesBackWhole) {
  const TokenizedGame game = SmallGame();
  SaveTokenizedGame(game, path_);
  const TokenizedGame loaded = LoadTokenizedGame(path_);
  EXPECT_EQ(loaded.game, "catch");
  EXPECT_TRUE(loaded.tokens.equal(game.tokens));
  EXPECT_TRUE(loaded.actions.equal(game.actions));
  EXPECT_TRUE(loaded.rewards.equal(game.rewards));
  EXPECT_TRUE(loaded.terminals.equal(game.terminals));
  EXPECT_TRUE(loaded.truncateds.equal(game.truncateds));
  ASSERT_EQ(loaded.episodes.size(), 2U);
  EXPECT_EQ(loaded.episodes[1].begin, 2);
  EXPECT_EQ(loaded.episodes[1].end, 3);
  EXPECT_EQ(loaded.num_actions, 3);
  EXPECT_EQ(loaded.codes, 4);
}

TEST_F(TokenizedGameFile, InconsistentContentsAreTheUsersError) {
  TokenizedGame game = SmallGame();
  game.actions = torch::tensor({0, 3, 1});  // out of range
  SaveTokenizedGame(game, path_);
  EXPECT_THROW(LoadTokenizedGame(path_), Error);
  game = SmallGame();
  game.episodes = {{0, 2}};  // a row is left over
  SaveTokenizedGame(game, path_);
  EXPECT_THROW(LoadTokenizedGame(path_), Error);
  game = SmallGame();
  game.rewards = torch::zeros({2});
  SaveTokenizedGame(game, path_);
  EXPECT_THROW(LoadTokenizedGame(path_), Error);
}

TEST_F(TokenizedGameFile, TruncatedFileIsTheUsersError) {
  SaveTokenizedGame(SmallGame(), path_);
  const std::string bytes = ReadFile(path_);
  for (const size_t size : {size_t{0}, size_t{5}, bytes.size() / 2, bytes.size() - 1}) {
    WriteFileAtomically(path_, bytes.substr(0, size));
    EXPECT_THROW(LoadTokenizedGame(path_), Error) << size;
  }
}

}  // namespace
}  // namespace hidreamer::tokenizer
