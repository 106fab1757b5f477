#include "hidreamer/tokenizer/token_metrics.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

#include "hidreamer/base/error.h"

namespace hidreamer::tokenizer {
namespace {

// Entropy of the distribution given by counts of any shape, in nats.
double Entropy(const torch::Tensor& counts) {
  const torch::Tensor n = counts.to(torch::kCPU, torch::kDouble).contiguous();
  const std::span<const double> numbers(n.data_ptr<double>(), static_cast<size_t>(n.numel()));
  const double total = std::accumulate(numbers.begin(), numbers.end(), 0.0);
  double entropy = 0;
  for (const double number : numbers) {
    if (number > 0) {
      entropy -= number / total * std::log(number / total);
    }
  }
  return entropy;
}

// I(row; column) of a table of counts, in bits.
double MutualInformation(const torch::Tensor& table) {
  return std::max(0.0, Entropy(table.sum(0)) + Entropy(table.sum(1)) - Entropy(table)) /
         std::log(2.0);
}

// counts (V) of one level of one game
torch::Tensor Counts(const TokenizedGame& game, int64_t level) {
  return torch::bincount(game.tokens.select(1, level), {}, game.codes);
}

Persistence CountEqualNeighbours(const TokenizedGame& game, int64_t level) {
  Persistence count;
  const torch::Tensor tokens = game.tokens.select(1, level);  // (N)
  for (const data::EpisodeRange& episode : game.episodes) {
    const int64_t pairs = episode.size() - 1;
    if (pairs < 1) {
      continue;
    }
    count.pairs += pairs;
    count.equal += tokens.narrow(0, episode.begin, pairs)
                       .eq(tokens.narrow(0, episode.begin + 1, pairs))
                       .sum()
                       .item<int64_t>();
  }
  return count;
}

void RequireSameLayout(const std::vector<const TokenizedGame*>& games) {
  HID_CHECK(!games.empty(), "no games to measure");
  for (const TokenizedGame* game : games) {
    HID_CHECK(game->codes == games.front()->codes &&
                  game->tokens.size(1) == games.front()->tokens.size(1),
              "games of different tokenizers");
  }
}

// The same tokens with each row given to a random game; every game keeps its number of rows.
torch::Tensor ShuffledTable(const std::vector<const TokenizedGame*>& games, int64_t level,
                            Rng& rng) {
  std::vector<torch::Tensor> parts;
  for (const TokenizedGame* game : games) {
    parts.push_back(game->tokens.select(1, level));
  }
  const torch::Tensor all = torch::cat(parts);
  const torch::Tensor shuffled =
      all.index_select(0, torch::tensor(rng.Permutation(all.size(0)), torch::kLong));
  std::vector<torch::Tensor> rows;
  int64_t begin = 0;
  for (const TokenizedGame* game : games) {
    const int64_t count = game->tokens.size(0);
    rows.push_back(torch::bincount(shuffled.narrow(0, begin, count), {}, game->codes));
    begin += count;
  }
  return torch::stack(rows);  // (G, V)
}

}  // namespace

torch::Tensor CountCodes(const torch::Tensor& codes, int64_t size) {
  const torch::Tensor on_host = codes.to(torch::kCPU);
  torch::Tensor counts = torch::zeros({size}, torch::kLong);
  const auto code = on_host.accessor<int64_t, 1>();
  auto* const count = counts.data_ptr<int64_t>();
  for (int64_t i = 0; i < code.size(0); ++i) {
    HID_CHECK(code[i] >= 0 && code[i] < size, "code {} of {}", code[i], size);
    ++count[code[i]];
  }
  return counts;
}

double Perplexity(const torch::Tensor& counts) { return std::exp(Entropy(counts)); }

void to_json(nlohmann::json& json, const LevelTokenMetrics& metrics) {
  json = {{"counts", metrics.counts},
          {"used", metrics.used},
          {"dead", metrics.dead},
          {"perplexity", metrics.perplexity},
          {"smoothness", metrics.smoothness},
          {"chance_smoothness", metrics.chance_smoothness}};
}

LevelTokenMetrics MeasureUse(const torch::Tensor& counts, const Persistence& persistence) {
  const torch::Tensor of = counts.to(torch::kCPU, torch::kLong).contiguous();
  LevelTokenMetrics metrics;
  metrics.counts.assign(of.data_ptr<int64_t>(), of.data_ptr<int64_t>() + of.numel());
  metrics.used = of.gt(0).sum().item<int64_t>();
  metrics.dead = of.numel() - metrics.used;
  metrics.perplexity = Perplexity(of);
  if (persistence.pairs > 0) {
    metrics.smoothness =
        static_cast<double>(persistence.equal) / static_cast<double>(persistence.pairs);
  }
  const torch::Tensor p = of.to(torch::kDouble) / of.sum().clamp_min(1);
  metrics.chance_smoothness = p.square().sum().item<double>();
  return metrics;
}

std::vector<LevelTokenMetrics> MeasureTokens(const std::vector<const TokenizedGame*>& games) {
  RequireSameLayout(games);
  std::vector<LevelTokenMetrics> levels;
  for (int64_t l = 0; l < games.front()->tokens.size(1); ++l) {
    torch::Tensor counts = torch::zeros({games.front()->codes}, torch::kLong);  // (V)
    Persistence persistence;
    for (const TokenizedGame* game : games) {
      counts += Counts(*game, l);
      const Persistence more = CountEqualNeighbours(*game, l);
      persistence.pairs += more.pairs;
      persistence.equal += more.equal;
    }
    levels.push_back(MeasureUse(counts, persistence));
  }
  return levels;
}

void to_json(nlohmann::json& json, const ReconstructionMetrics& metrics) {
  json = {{"squared_error", metrics.squared_error}, {"explained", metrics.explained}};
}

ReconstructionMetrics MeasureReconstruction(ResidualQuantizer quantizer,
                                            const torch::Tensor& embeddings,
                                            const torch::Tensor& codes) {
  constexpr int64_t kBlockRows = 16384;
  torch::NoGradGuard no_grad;
  const int64_t rows = embeddings.size(0);
  HID_CHECK(rows >= 1 && codes.size(0) == rows, "{} rows, {} codes", rows, codes.size(0));
  const auto levels = static_cast<size_t>(quantizer->options().levels);
  std::vector<double> error(levels, 0.0);
  const torch::Tensor mean = embeddings.mean(0, /*keepdim=*/true, torch::kDouble);  // (1, D)
  double variance = 0;
  for (int64_t begin = 0; begin < rows; begin += kBlockRows) {
    const int64_t count = std::min(kBlockRows, rows - begin);
    torch::Tensor residual = embeddings.narrow(0, begin, count);  // (n, D)
    variance += (residual.to(torch::kDouble) - mean).square().sum().item<double>();
    for (size_t l = 0; l < levels; ++l) {
      const auto level = static_cast<int64_t>(l);
      residual = residual -
                 quantizer->level(level)->Lookup(codes.narrow(0, begin, count).select(1, level));
      error[l] += residual.to(torch::kDouble).square().sum().item<double>();
    }
  }
  ReconstructionMetrics metrics;
  for (const double sum : error) {
    metrics.squared_error.push_back(sum / static_cast<double>(rows));
    metrics.explained.push_back(variance > 0 ? 1 - sum / variance : 0);
  }
  return metrics;
}

void to_json(nlohmann::json& json, const LevelSharing& sharing) {
  json = {{"used_by", sharing.used_by},
          {"mutual_information", sharing.mutual_information},
          {"shuffled_mutual_information", sharing.shuffled_mutual_information},
          {"game_entropy", sharing.game_entropy}};
}

std::vector<LevelSharing> MeasureSharing(const std::vector<const TokenizedGame*>& games,
                                         const SeedTree& seeds, double min_share) {
  RequireSameLayout(games);
  std::vector<LevelSharing> levels;
  for (int64_t l = 0; l < games.front()->tokens.size(1); ++l) {
    std::vector<torch::Tensor> rows;
    for (const TokenizedGame* game : games) {
      rows.push_back(Counts(*game, l));
    }
    const torch::Tensor table = torch::stack(rows);               // (G, V)
    const torch::Tensor totals = table.sum(1, /*keepdim=*/true);  // (G, 1)
    const torch::Tensor shares = table.to(torch::kDouble) / totals.clamp_min(1);
    const torch::Tensor users =
        shares.ge(min_share).logical_and(table.gt(0)).sum(0);  // (V) games that use a code
    const torch::Tensor used_by =
        torch::bincount(users, {}, static_cast<int64_t>(games.size()) + 1);
    LevelSharing sharing;
    sharing.used_by.assign(used_by.data_ptr<int64_t>(),
                           used_by.data_ptr<int64_t>() + used_by.numel());
    sharing.mutual_information = MutualInformation(table);
    Rng rng = seeds.Generator("tokenizer/sharing", static_cast<uint64_t>(l));
    sharing.shuffled_mutual_information = MutualInformation(ShuffledTable(games, l, rng));
    sharing.game_entropy = Entropy(totals) / std::log(2.0);
    levels.push_back(std::move(sharing));
  }
  return levels;
}

}  // namespace hidreamer::tokenizer
