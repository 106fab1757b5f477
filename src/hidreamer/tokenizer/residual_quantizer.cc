#include "hidreamer/tokenizer/residual_quantizer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/layers/codebook.h"
#include "hidreamer/layers/nearest_search.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/tokenizer/k_means.h"

namespace hidreamer::tokenizer {
namespace {

constexpr char kFormat[] = "hidreamer.residual_quantizer/1";
constexpr int64_t kLloydIterations = 5;

bool UseKernels(const torch::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == torch::kFloat && x.is_contiguous();
}

}  // namespace

CodebookLevelImpl::CodebookLevelImpl(int64_t codes, int64_t dim) {
  torch::NoGradGuard no_grad;
  codebook_ = register_module(
      "codebook", torch::nn::Embedding(
                      torch::nn::EmbeddingOptions(codes, dim)._weight(torch::zeros({codes, dim}))));
  codebook_->weight.set_requires_grad(false);
  ema_weight_ = register_buffer("ema_weight", torch::zeros({codes, dim}));
  cluster_size_ = register_buffer("ema_cluster_size", torch::ones({codes}));
}

torch::Tensor CodebookLevelImpl::Nearest(const torch::Tensor& rows) const {
  return layers::NearestRows(rows, codebook_->weight);
}

torch::Tensor CodebookLevelImpl::Lookup(const torch::Tensor& codes) const {
  return codebook_->weight.index_select(0, codes);
}

torch::Tensor CodebookLevelImpl::Subtract(const torch::Tensor& rows,
                                          const torch::Tensor& codes) const {
  if (!UseKernels(rows) || !UseKernels(weight())) {
    return rows - Lookup(codes);
  }
  torch::Tensor rest = torch::empty_like(rows);
  layers::SubtractCodewords(rows, weight(), codes.data_ptr<int64_t>(), rest);
  return rest;
}

layers::AveragesMove CodebookLevelImpl::BeginUpdate(const torch::Tensor& rows, const int64_t* codes,
                                                    double decay, double epsilon) {
  return layers::MoveAverages(cluster_size_, ema_weight_, codebook_->weight, rows, codes, decay,
                              epsilon);
}

void CodebookLevelImpl::Update(const torch::Tensor& rows, const torch::Tensor& codes, double decay,
                               double epsilon) {
  torch::NoGradGuard no_grad;
  const int64_t count = cluster_size_.size(0);
  if (UseKernels(rows) && UseKernels(ema_weight_)) {
    BeginUpdate(rows, codes.data_ptr<int64_t>(), decay, epsilon).Move(0, count);
    return;
  }
  const auto type = cluster_size_.scalar_type();
  const torch::Tensor counts =
      torch::zeros_like(cluster_size_).index_add_(0, codes, torch::ones_like(codes, type));  // (V)
  const torch::Tensor sums =
      torch::zeros_like(ema_weight_).index_add_(0, codes, rows.to(type));  // (V, D)
  cluster_size_.mul_(decay).add_(counts, 1 - decay);
  ema_weight_.mul_(decay).add_(sums, 1 - decay);
  const torch::Tensor total = cluster_size_.sum();
  const torch::Tensor smoothed =
      (cluster_size_ + epsilon) / (total + static_cast<double>(count) * epsilon) * total;  // (V)
  codebook_->weight.copy_(ema_weight_ / smoothed.unsqueeze(1));
}

void CodebookLevelImpl::Start(const torch::Tensor& values) {
  torch::NoGradGuard no_grad;
  codebook_->weight.copy_(values);
  ema_weight_.copy_(values);
  cluster_size_.fill_(1);
}

int64_t CodebookLevelImpl::Revive(const torch::Tensor& rows, double below, Rng& rng) {
  torch::NoGradGuard no_grad;
  const double uniform =
      static_cast<double>(rows.size(0)) / static_cast<double>(cluster_size_.size(0));
  if (UseKernels(cluster_size_)) {  // mostly there is none, and this takes a microsecond
    const float* const sizes = cluster_size_.data_ptr<float>();
    if (std::none_of(sizes, sizes + cluster_size_.numel(),
                     [&](float size) { return size < static_cast<float>(below * uniform); })) {
      return 0;
    }
  }
  torch::Tensor dead = cluster_size_.lt(below * uniform).nonzero().flatten();  // (K)
  const int64_t revived = std::min(dead.size(0), rows.size(0));
  if (revived == 0) {
    return 0;
  }
  dead = dead.narrow(0, 0, revived);
  std::vector<int64_t> chosen = rng.Permutation(rows.size(0));
  chosen.resize(static_cast<size_t>(revived));
  const torch::Tensor fresh =
      rows.index_select(0, torch::tensor(chosen, torch::kLong).to(rows.device()))
          .to(ema_weight_.scalar_type());  // (K, D)
  codebook_->weight.index_copy_(0, dead, fresh);
  ema_weight_.index_copy_(0, dead, fresh * uniform);
  cluster_size_.index_fill_(0, dead, uniform);
  return revived;
}

torch::Tensor CodebookLevelImpl::Revive(const torch::Tensor& rows, double below,
                                        const torch::Tensor& order) {
  torch::NoGradGuard no_grad;
  const double uniform =
      static_cast<double>(rows.size(0)) / static_cast<double>(cluster_size_.size(0));
  const torch::Tensor dead = cluster_size_.lt(below * uniform);  // (V)
  const torch::Tensor place = dead.cumsum(0) - 1;                // (V), among the dead
  const torch::Tensor revived = dead.logical_and(place.lt(rows.size(0)));
  const torch::Tensor fresh =
      rows.index_select(0, order.index_select(0, place.clamp(0, rows.size(0) - 1)))
          .to(ema_weight_.scalar_type());  // (V, D)
  const torch::Tensor whole = revived.unsqueeze(1);
  codebook_->weight.copy_(torch::where(whole, fresh, codebook_->weight));
  ema_weight_.copy_(torch::where(whole, fresh * uniform, ema_weight_));
  cluster_size_.masked_fill_(revived, uniform);
  return revived.sum();
}

ResidualQuantizerImpl::ResidualQuantizerImpl(ResidualQuantizerOptions options)
    : options_(std::move(options)) {
  if (static_cast<int64_t>(options_.commitment_costs.size()) < options_.levels) {
    throw UserError("give tokenizer.commitment_costs one number a level",
                    "{} levels but {} commitment costs", options_.levels,
                    options_.commitment_costs.size());
  }
  options_.commitment_costs.resize(static_cast<size_t>(options_.levels));
  torch::nn::ModuleList list;
  for (int64_t l = 0; l < options_.levels; ++l) {
    levels_.emplace_back(options_.codes, options_.dim);
    list->push_back(levels_.back());
  }
  register_module("vq_layers", list);
}

std::vector<layers::NearestSearch> ResidualQuantizerImpl::Searches() const {
  const torch::NoGradGuard no_grad;
  std::vector<layers::NearestSearch> searches;
  for (const CodebookLevel& level : levels_) {
    searches.emplace_back(level->weight(), layers::NearestSearch::kUnprepared);
  }
  const int64_t pieces = searches.empty() ? 0 : searches.front().pieces();
  at::parallel_for(0, options_.levels * pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      searches[static_cast<size_t>(i / pieces)].Prepare(i % pieces);
    }
  });
  return searches;
}

ResidualQuantizerOutput ResidualQuantizerImpl::ForwardInKernels(const torch::Tensor& z) {
  const int64_t rows = z.size(0), levels = options_.levels;
  ResidualQuantizerOutput output;
  output.codes = torch::empty({levels, rows}, torch::kLong);
  for (int64_t l = 0; l < levels; ++l) {
    output.residuals.push_back(torch::empty_like(z));
  }
  const std::vector<layers::NearestSearch> searches = Searches();
  // Each thread takes blocks of rows through all levels.
  const int64_t block = layers::RowsOfThread(rows);
  const int64_t blocks = (rows + block - 1) / block;
  std::vector<double> squares(static_cast<size_t>(levels * blocks));
  at::parallel_for(0, blocks, 1, [&](int64_t first, int64_t last) {
    const torch::NoGradGuard quietly;
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * block, count = std::min(block, rows - begin);
      torch::Tensor input = z.narrow(0, begin, count);
      for (int64_t l = 0; l < levels; ++l) {
        const auto level = static_cast<size_t>(l);
        int64_t* const codes = output.codes.data_ptr<int64_t>() + l * rows + begin;
        searches[level].Find(input, codes);
        const torch::Tensor rest = output.residuals[level].narrow(0, begin, count);
        squares[static_cast<size_t>(l * blocks + b)] =
            layers::SubtractCodewords(input, levels_[level]->weight(), codes, rest);
        input = rest;
      }
    }
  });
  std::vector<float> errors;
  double loss = 0;
  for (int64_t l = 0; l < levels; ++l) {
    searches[static_cast<size_t>(l)].Count(rows);
    const auto of_level = squares.begin() + l * blocks;
    const double error = std::accumulate(of_level, of_level + blocks, 0.0) /
                         static_cast<double>(std::max<int64_t>(1, z.numel()));
    errors.push_back(static_cast<float>(error));
    loss += error * options_.commitment_costs[static_cast<size_t>(l)];
  }
  if (is_training()) {
    std::vector<layers::AveragesMove> moves;
    for (int64_t l = 0; l < levels; ++l) {
      const torch::Tensor& input = l == 0 ? z : output.residuals[static_cast<size_t>(l - 1)];
      moves.push_back(levels_[static_cast<size_t>(l)]->BeginUpdate(
          input, output.codes.data_ptr<int64_t>() + l * rows, options_.decay, options_.epsilon));
    }
    // All levels' codes, end to end: an equal share for each thread.
    const int64_t codes = options_.codes;
    at::parallel_for(0, levels * codes, 32, [&](int64_t begin, int64_t end) {
      for (int64_t l = begin / codes; l * codes < end; ++l) {
        moves[static_cast<size_t>(l)].Move(std::max<int64_t>(0, begin - l * codes),
                                           std::min(codes, end - l * codes));
      }
    });
  }
  output.codes = output.codes.t().contiguous();  // (N, L)
  output.quantized = z - output.residuals.back();
  output.commitment_loss = torch::full({}, loss, z.options());
  output.level_errors = torch::tensor(errors, z.options());
  return output;
}

ResidualQuantizerOutput ResidualQuantizerImpl::forward(const torch::Tensor& z) {
  HID_CHECK(z.dim() == 2 && z.size(1) == options_.dim, "z must be (N, {})", options_.dim);
  const layers::AutocastGuard full(z.device(), layers::Precision::kF32);
  if (!torch::GradMode::is_enabled() && UseKernels(z) && UseKernels(levels_[0]->weight())) {
    return ForwardInKernels(z);
  }
  // Codewords carry no gradient, so the residual of each level keeps the one of z: every level's
  // commitment pulls on the encoder. (Passing the straight-through output down, as the reference
  // does, cuts it off below level 0.)
  ResidualQuantizerOutput output;
  torch::Tensor residual = z;  // (N, D)
  torch::Tensor sum;           // (N, D)
  std::vector<torch::Tensor> codes, errors;
  for (size_t l = 0; l < levels_.size(); ++l) {
    CodebookLevel& level = levels_[l];
    const torch::Tensor input = residual.detach();
    codes.push_back(level->Nearest(input));                    // (N)
    const torch::Tensor chosen = level->Lookup(codes.back());  // (N, D), a copy
    residual = residual - chosen;                              // (N, D)
    sum = sum.defined() ? sum + chosen : chosen;
    errors.push_back(residual.square().mean());
    const torch::Tensor weighted = errors.back() * options_.commitment_costs[l];
    output.commitment_loss =
        output.commitment_loss.defined() ? output.commitment_loss + weighted : weighted;
    output.residuals.push_back(residual.detach());
    if (is_training()) {
      level->Update(input, codes.back(), options_.decay, options_.epsilon);
    }
  }
  output.quantized = z + (sum - z).detach();
  output.codes = torch::stack(codes, 1);  // (N, L)
  output.level_errors = torch::stack(errors).detach();
  return output;
}

torch::Tensor ResidualQuantizerImpl::Encode(const torch::Tensor& z) const {
  HID_CHECK(z.dim() == 2 && z.size(1) == options_.dim, "z must be (N, {})", options_.dim);
  torch::NoGradGuard no_grad;
  // All levels of a block while its rows are in the cache; each level subtracts as forward does, so
  // the codes are the same.
  const int64_t block = layers::RowsOfBlock(z.device());
  const int64_t blocks = (z.size(0) + block - 1) / block;
  torch::Tensor codes = torch::empty({z.size(0), options_.levels}, z.options().dtype(torch::kLong));
  const bool kernels = UseKernels(z) && UseKernels(levels_[0]->weight());
  const std::vector<layers::NearestSearch> searches =
      kernels ? Searches() : std::vector<layers::NearestSearch>();
  const auto encode = [&](int64_t first, int64_t last) {
    const torch::NoGradGuard quietly;
    for (int64_t b = first; b < last; ++b) {
      const int64_t begin = b * block, count = std::min(block, z.size(0) - begin);
      torch::Tensor residual = z.narrow(0, begin, count);  // (n, D)
      for (int64_t l = 0; l < options_.levels; ++l) {
        const CodebookLevel& level = levels_[static_cast<size_t>(l)];
        torch::Tensor nearest;
        if (kernels) {
          nearest = torch::empty({count}, torch::kLong);
          searches[static_cast<size_t>(l)].Find(residual, nearest.data_ptr<int64_t>());
        } else {
          nearest = level->Nearest(residual);
        }
        codes.narrow(0, begin, count).select(1, l).copy_(nearest);
        if (l + 1 < options_.levels) {
          residual = level->Subtract(residual, nearest);
        }
      }
    }
  };
  for (const layers::NearestSearch& search : searches) {
    search.Count(z.size(0));
  }
  if (z.is_cpu()) {
    at::parallel_for(0, blocks, 1, encode);
  } else {
    encode(0, blocks);
  }
  return codes;
}

torch::Tensor ResidualQuantizerImpl::Decode(const torch::Tensor& codes) const {
  HID_CHECK(codes.dim() == 2 && codes.size(1) == options_.levels, "codes must be (N, {})",
            options_.levels);
  torch::NoGradGuard no_grad;
  torch::Tensor sum = levels_[0]->Lookup(codes.select(1, 0));  // (N, D)
  for (int64_t l = 1; l < options_.levels; ++l) {
    sum.add_(levels_[static_cast<size_t>(l)]->Lookup(codes.select(1, l)));
  }
  return sum;
}

void ResidualQuantizerImpl::Seed(const torch::Tensor& rows, Rng& rng) {
  torch::NoGradGuard no_grad;
  torch::Tensor residual = rows;  // (N, D)
  for (CodebookLevel& level : levels_) {
    level->Start(KMeans(residual, options_.codes, kLloydIterations, rng));
    residual = residual - level->Lookup(level->Nearest(residual));
  }
}

std::map<std::string, std::string> Metadata(const ResidualQuantizerOptions& options) {
  const nlohmann::json json = {
      {"dim", options.dim},     {"levels", options.levels},
      {"codes", options.codes}, {"commitment_costs", options.commitment_costs},
      {"decay", options.decay}, {"epsilon", options.epsilon}};
  return {{"format", kFormat}, {"options", json.dump()}};
}

void SaveResidualQuantizer(ResidualQuantizer quantizer, const std::filesystem::path& path) {
  formats::SaveSafetensors(path, formats::NamedState(*quantizer), Metadata(quantizer->options()));
}

ResidualQuantizer LoadResidualQuantizer(const std::filesystem::path& path) {
  const formats::SafetensorsFile file = formats::LoadSafetensors(path);
  const auto format = file.metadata.find("format");
  if (format != file.metadata.end() && format->second != kFormat) {
    throw UserError("give a tokenizer's model.safetensors", "{} holds '{}', not '{}'",
                    path.string(), format->second, kFormat);
  }
  const auto first = file.tensors.find("vq_layers.0.codebook.weight");
  if (first == file.tensors.end() || first->second.dim() != 2) {
    throw UserError("give a tokenizer's model.safetensors",
                    "{} holds no vq_layers.0.codebook.weight (V, D)", path.string());
  }
  ResidualQuantizerOptions options;
  options.codes = first->second.size(0);
  options.dim = first->second.size(1);
  options.levels = 1;
  while (file.tensors.count(fmt::format("vq_layers.{}.codebook.weight", options.levels)) > 0) {
    ++options.levels;
  }
  options.commitment_costs.resize(static_cast<size_t>(options.levels), 0.25);
  const auto entry = file.metadata.find("options");
  if (entry != file.metadata.end()) {
    const auto json = nlohmann::json::parse(entry->second, nullptr, /*allow_exceptions=*/false);
    try {
      json.at("commitment_costs").get_to(options.commitment_costs);
      json.at("decay").get_to(options.decay);
      json.at("epsilon").get_to(options.epsilon);
    } catch (const nlohmann::json::exception&) {
      throw UserError("save the tokenizer again", "{}: damaged options in the metadata",
                      path.string());
    }
  }
  ResidualQuantizer quantizer(options);
  try {
    formats::LoadNamedState(*quantizer, file.tensors);
  } catch (const Error& error) {
    throw UserError(error.hint(), "{}: {}", path.string(), error.what());
  }
  quantizer->eval();
  return quantizer;
}

}  // namespace hidreamer::tokenizer
