#include "hidreamer/tokenizer/tokenizer_learner.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/tokenizer/token_metrics.h"
#include "hidreamer/training/device.h"

namespace hidreamer::tokenizer {
namespace {

constexpr int64_t kSeedRows = 16384;           // sample that k-means starts the codebooks from
constexpr int64_t kMaxValidationRows = 16384;  // enough for three digits of every figure

void AppendRows(const std::vector<data::EpisodeRange>& episodes, int64_t offset,
                std::vector<int64_t>& rows) {
  for (const data::EpisodeRange& episode : episodes) {
    for (int64_t row = episode.begin; row < episode.end; ++row) {
      rows.push_back(offset + row);
    }
  }
}

// `count` of the rows at random, or all in their order where there are no more.
std::vector<int64_t> Sample(const std::vector<int64_t>& rows, int64_t count, Rng& rng) {
  if (static_cast<int64_t>(rows.size()) <= count) {
    return rows;
  }
  std::vector<int64_t> order = rng.Permutation(static_cast<int64_t>(rows.size()));
  order.resize(static_cast<size_t>(count));
  for (int64_t& index : order) {
    index = rows[static_cast<size_t>(index)];
  }
  return order;
}

double ExplainedShare(double squared_error, const torch::Tensor& z) {
  const torch::Tensor centered = z - z.mean(0, /*keepdim=*/true);
  const double variance = centered.square().sum(1).mean().item<double>();
  return variance > 0 ? 1 - squared_error / variance : 0;
}

// Mean squared distance of the rows from their quantized ones.
double SquaredDistance(const ResidualQuantizerOutput& output) {
  const int64_t dim = output.residuals.back().size(1);
  return output.level_errors[-1].item<double>() * static_cast<double>(dim);
}

}  // namespace

config::TokenizerConfig SingleVqConfig(config::TokenizerConfig config) {
  config.levels = 1;
  config.commitment_costs = {0.25};
  return config;
}

TokenizerLearner::TokenizerLearner(std::vector<TokenizerGame> games,
                                   const config::TokenizerConfig& config, const SeedTree& seeds,
                                   torch::Device device, std::string name)
    : games_(std::move(games)),
      config_(config),
      seeds_(seeds),
      device_(device),
      name_(std::move(name)),
      update_([this](const training::CapturedGraph::Tensors& inputs) {
        return ComputeUpdate(inputs);
      }) {
  int64_t offset = 0;
  int64_t dim = 0;
  for (TokenizerGame& game : games_) {
    HID_CHECK(game.embeddings.dim() == 2 && (dim == 0 || game.embeddings.size(1) == dim),
              "embeddings must be (N, {})", dim);
    dim = game.embeddings.size(1);
    game.embeddings = game.embeddings.to(torch::kCPU, torch::kFloat).contiguous();
    AppendRows(game.split.train, offset, train_rows_);
    AppendRows(game.split.validation, offset, validation_rows_);
    first_row_.push_back(offset);
    offset += game.embeddings.size(0);
  }
  if (train_rows_.empty()) {
    throw UserError("record more steps", "there are no embeddings to train the tokenizer on");
  }
  if (validation_rows_.empty()) {
    validation_rows_ = train_rows_;
  }
  Rng rng = seeds_.Generator(name_ + "/validation");
  validation_rows_ = Sample(validation_rows_, kMaxValidationRows, rng);
  const auto count = static_cast<int64_t>(train_rows_.size());
  batch_ = std::min(config_.batch, count);
  updates_per_epoch_ = count / batch_;
  if (config_.updates_per_epoch > 0) {
    updates_per_epoch_ = std::min(updates_per_epoch_, config_.updates_per_epoch);
  }
  quantizer_ =
      ResidualQuantizer(ResidualQuantizerOptions{.dim = dim,
                                                 .levels = config_.levels,
                                                 .codes = config_.codes,
                                                 .commitment_costs = config_.commitment_costs,
                                                 .decay = config_.decay,
                                                 .epsilon = config_.epsilon});
  quantizer_->to(device_);
}

torch::Tensor TokenizerLearner::Gather(const std::vector<int64_t>& rows, int64_t begin,
                                       int64_t end) const {
  const int64_t dim = quantizer_->options().dim;
  torch::Tensor batch = torch::empty({end - begin, dim});
  auto* const out = batch.data_ptr<float>();
  constexpr int64_t kGrain = 64;  // rows from anywhere in memory worth a thread
  at::parallel_for(begin, end, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t row = rows[static_cast<size_t>(i)];
      const auto game = static_cast<size_t>(
          std::upper_bound(first_row_.begin(), first_row_.end(), row) - first_row_.begin() - 1);
      std::memcpy(out + (i - begin) * dim,
                  games_[game].embeddings.data_ptr<float>() + (row - first_row_[game]) * dim,
                  static_cast<size_t>(dim) * sizeof(float));
    }
  });
  return training::ToDevice(batch, device_);
}

torch::Tensor TokenizerLearner::GatherBatch(int64_t update) {
  const int64_t epoch = update / updates_per_epoch_;
  if (epoch != order_epoch_) {
    Rng rng = seeds_.Generator(name_ + "/order", static_cast<uint64_t>(epoch));
    order_ = rng.Permutation(static_cast<int64_t>(train_rows_.size()));
    for (int64_t& index : order_) {
      index = train_rows_[static_cast<size_t>(index)];
    }
    order_epoch_ = epoch;
  }
  const int64_t begin = (update % updates_per_epoch_) * batch_;
  return Gather(order_, begin, begin + batch_);
}

formats::TensorMap TokenizerLearner::BatchOf(int64_t update) {
  return {{"embeddings", GatherBatch(update)}};
}

training::Metrics TokenizerLearner::Update(int64_t update) {
  torch::NoGradGuard no_grad;
  if (update == 0) {
    Rng rng = seeds_.Generator(name_ + "/seed");
    const std::vector<int64_t> sample = Sample(train_rows_, kSeedRows, rng);
    quantizer_->Seed(Gather(sample, 0, static_cast<int64_t>(sample.size())), rng);
  }
  const torch::Tensor z = GatherBatch(update);  // (B, D)
  quantizer_->train();
  training::Metrics metrics;
  if (device_.is_cuda()) {
    Rng rng = seeds_.Generator(name_ + "/revive", static_cast<uint64_t>(update));
    std::vector<torch::Tensor> orders;
    for (int64_t l = 0; l < config_.levels; ++l) {
      orders.push_back(torch::tensor(rng.Permutation(batch_), torch::kLong));
    }
    const auto numbers = update_.Run({z, training::ToDevice(torch::stack(orders), device_)})[0];
    metrics.Add("loss", numbers[0]);
    metrics.Add("reconstruction_error", numbers[1]);
    metrics.Add("revived", numbers[2]);
    for (int64_t l = 0; l < config_.levels; ++l) {
      metrics.Add(fmt::format("perplexity_{}", l), numbers[3 + l]);
    }
    return metrics;
  }
  const ResidualQuantizerOutput output = quantizer_->forward(z);
  int64_t revived = 0;
  if (config_.revive_dead_codes) {
    Rng rng = seeds_.Generator(name_ + "/revive", static_cast<uint64_t>(update));
    for (int64_t l = 0; l < config_.levels; ++l) {
      const torch::Tensor& input = l == 0 ? z : output.residuals[static_cast<size_t>(l - 1)];
      revived += CodebookLevel(quantizer_->level(l))->Revive(input, config_.revive_below, rng);
    }
  }
  metrics.Add("loss", output.commitment_loss);
  metrics.Add("reconstruction_error", SquaredDistance(output));
  metrics.Add("revived", revived);
  for (int64_t l = 0; l < config_.levels; ++l) {
    metrics.Add(fmt::format("perplexity_{}", l),
                Perplexity(CountCodes(output.codes.select(1, l), config_.codes)));
  }
  return metrics;
}

training::CapturedGraph::Tensors TokenizerLearner::ComputeUpdate(
    const training::CapturedGraph::Tensors& inputs) {
  const torch::NoGradGuard no_grad;
  const auto& [z, orders] = std::tie(inputs[0], inputs[1]);
  const ResidualQuantizerOutput output = quantizer_->forward(z);
  torch::Tensor revived = torch::zeros({}, orders.options());
  if (config_.revive_dead_codes) {
    for (int64_t l = 0; l < config_.levels; ++l) {
      const torch::Tensor& input = l == 0 ? z : output.residuals[static_cast<size_t>(l - 1)];
      revived = revived +
                CodebookLevel(quantizer_->level(l))->Revive(input, config_.revive_below, orders[l]);
    }
  }
  std::vector<torch::Tensor> numbers = {output.commitment_loss,
                                        output.level_errors[-1] * static_cast<double>(z.size(1)),
                                        revived.to(torch::kFloat32)};
  for (int64_t l = 0; l < config_.levels; ++l) {
    const torch::Tensor codes = output.codes.select(1, l);
    const torch::Tensor share = torch::zeros({config_.codes}, z.options())
                                    .index_add_(0, codes, torch::full_like(codes, 1, z.options())) /
                                static_cast<double>(codes.numel());  // (V)
    numbers.push_back(share.xlogy(share).sum().neg().exp());
  }
  return {torch::stack(numbers)};
}

nlohmann::json TokenizerLearner::EndEpoch(int64_t /*epoch*/) {
  torch::NoGradGuard no_grad;
  quantizer_->eval();
  const torch::Tensor z =
      Gather(validation_rows_, 0, static_cast<int64_t>(validation_rows_.size()));  // (N, D)
  const ResidualQuantizerOutput output = quantizer_->forward(z);
  const double error = SquaredDistance(output);
  nlohmann::json record = {{"validation_loss", output.commitment_loss.item<double>()},
                           {"validation_reconstruction_error", error},
                           {"validation_explained", ExplainedShare(error, z)}};
  for (int64_t l = 0; l < config_.levels; ++l) {
    const torch::Tensor counts = CountCodes(output.codes.select(1, l), config_.codes);
    record[fmt::format("perplexity_{}", l)] = Perplexity(counts);
    record[fmt::format("used_{}", l)] = counts.gt(0).sum().item<int64_t>();
  }
  return record;
}

formats::TensorMap TokenizerLearner::State() const {
  return formats::NamedState(*quantizer_, "model.");
}

void TokenizerLearner::LoadState(const formats::TensorMap& state) {
  formats::LoadNamedState(*quantizer_, state, "model.");
}

}  // namespace hidreamer::tokenizer
