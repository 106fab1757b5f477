#include "hidreamer/tokenizer/tokenized_game.h"

#include <charconv>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/formats/safetensors.h"

namespace hidreamer::tokenizer {
namespace {

constexpr char kTokensFormat[] = "hidreamer.tokens/1";

template <typename T>
torch::Tensor AsTensor(std::span<const T> column, torch::ScalarType stored,
                       torch::ScalarType wanted) {
  return torch::from_blob(const_cast<T*>(column.data()), {static_cast<int64_t>(column.size())},
                          stored)
      .to(wanted, /*non_blocking=*/false, /*copy=*/true);
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path)
      : path_(path), file_(formats::LoadSafetensors(path)) {
    const std::string format = Text("format");
    if (format != kTokensFormat) {
      Fail(fmt::format("it holds '{}', not '{}'", format, kTokensFormat));
    }
  }

  torch::Tensor Tensor(const std::string& name, torch::ScalarType type, int64_t dimensions) const {
    const auto entry = file_.tensors.find(name);
    if (entry == file_.tensors.end() || entry->second.scalar_type() != type ||
        entry->second.dim() != dimensions) {
      Fail(fmt::format("'{}' is missing or of another type", name));
    }
    return entry->second;
  }

  std::string Text(const std::string& name) const {
    const auto entry = file_.metadata.find(name);
    if (entry == file_.metadata.end()) {
      Fail(fmt::format("its metadata has no '{}'", name));
    }
    return entry->second;
  }

  int64_t Number(const std::string& name) const {
    const std::string text = Text(name);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1) {
      Fail(fmt::format("'{}' in its metadata is '{}'", name, text));
    }
    return value;
  }

  [[noreturn]] void Fail(const std::string& what) const {
    throw UserError("hidreamer tokenize writes such files", "{} is no file of tokens: {}",
                    path_.string(), what);
  }

 private:
  std::filesystem::path path_;
  formats::SafetensorsFile file_;
};

bool Inside(const torch::Tensor& values, int64_t bound) {
  return values.numel() == 0 ||
         (values.min().item<int64_t>() >= 0 && values.max().item<int64_t>() < bound);
}

}  // namespace

TokenizedGame TokenizeStore(ResidualQuantizer quantizer, const data::EpisodeStore& store,
                            const torch::Tensor& embeddings) {
  HID_CHECK(embeddings.size(0) == store.size(), "{} embeddings of {} rows", embeddings.size(0),
            store.size());
  return {.game = store.info().game,
          .tokens = quantizer->Encode(embeddings).to(torch::kCPU),
          .actions = AsTensor(store.actions(), torch::kUInt8, torch::kLong),
          .rewards = AsTensor(store.rewards(), torch::kFloat, torch::kFloat),
          .terminals = AsTensor(store.terminals(), torch::kUInt8, torch::kUInt8),
          .truncateds = AsTensor(store.truncateds(), torch::kUInt8, torch::kUInt8),
          .episodes = store.episodes(),
          .num_actions = store.num_actions(),
          .codes = quantizer->options().codes};
}

void SaveTokenizedGame(const TokenizedGame& game, const std::filesystem::path& path) {
  torch::Tensor episodes =
      torch::empty({static_cast<int64_t>(game.episodes.size()), 2}, torch::kLong);
  auto* out = episodes.data_ptr<int64_t>();
  for (const data::EpisodeRange& episode : game.episodes) {
    *out++ = episode.begin;
    *out++ = episode.end;
  }
  formats::SaveSafetensors(path,
                           {{"tokens", game.tokens},
                            {"actions", game.actions},
                            {"rewards", game.rewards},
                            {"terminals", game.terminals},
                            {"truncateds", game.truncateds},
                            {"episodes", episodes}},
                           {{"format", kTokensFormat},
                            {"game", game.game},
                            {"num_actions", std::to_string(game.num_actions)},
                            {"codes", std::to_string(game.codes)}});
}

TokenizedGame LoadTokenizedGame(const std::filesystem::path& path) {
  const Reader reader(path);
  TokenizedGame game{.game = reader.Text("game"),
                     .tokens = reader.Tensor("tokens", torch::kLong, 2),
                     .actions = reader.Tensor("actions", torch::kLong, 1),
                     .rewards = reader.Tensor("rewards", torch::kFloat, 1),
                     .terminals = reader.Tensor("terminals", torch::kUInt8, 1),
                     .truncateds = reader.Tensor("truncateds", torch::kUInt8, 1),
                     .episodes = {},
                     .num_actions = reader.Number("num_actions"),
                     .codes = reader.Number("codes")};
  const int64_t rows = game.tokens.size(0);
  for (const torch::Tensor& column :
       {game.actions, game.rewards, game.terminals, game.truncateds}) {
    if (column.size(0) != rows) {
      reader.Fail(fmt::format("{} rows of tokens, {} of another column", rows, column.size(0)));
    }
  }
  if (!Inside(game.tokens, game.codes) || !Inside(game.actions, game.num_actions)) {
    reader.Fail("a token or an action is out of range");
  }
  const torch::Tensor episodes = reader.Tensor("episodes", torch::kLong, 2);
  int64_t end = 0;
  for (int64_t i = 0; i < episodes.size(0) && episodes.size(1) == 2; ++i) {
    const data::EpisodeRange range{episodes[i][0].item<int64_t>(), episodes[i][1].item<int64_t>()};
    if (range.begin != end || range.end <= range.begin) {
      reader.Fail("its episodes do not follow each other");
    }
    end = range.end;
    game.episodes.push_back(range);
  }
  if (end != rows) {
    reader.Fail(fmt::format("its episodes cover {} of {} rows", end, rows));
  }
  return game;
}

}  // namespace hidreamer::tokenizer
