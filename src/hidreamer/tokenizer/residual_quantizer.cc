#include "hidreamer/tokenizer/residual_quantizer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/nn/precision.h"
#include "hidreamer/nn/safetensors.h"
#include "hidreamer/tokenizer/code_search.h"
#include "hidreamer/tokenizer/codebook_kernels.h"
#include "hidreamer/tokenizer/k_means.h"

namespace hidreamer::tokenizer {
namespace {

constexpr char kFormat[] = "hidreamer.residual_quantizer/1";
constexpr int64_t kLloydIterations = 5;

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
  return NearestRows(rows, codebook_->weight);
}

torch::Tensor CodebookLevelImpl::Lookup(const torch::Tensor& codes) const {
  return codebook_->weight.index_select(0, codes);
}

void CodebookLevelImpl::Update(const torch::Tensor& rows, const torch::Tensor& codes, double decay,
                               double epsilon) {
  torch::NoGradGuard no_grad;
  const int64_t count = cluster_size_.size(0);
  const auto type = cluster_size_.scalar_type();
  const torch::Tensor counts = torch::bincount(codes, {}, count).to(type);  // (V)
  cluster_size_.mul_(decay).add_(counts, 1 - decay);
  const torch::Tensor total = cluster_size_.sum();
  const torch::Tensor smoothed =
      (cluster_size_ + epsilon) / (total + static_cast<double>(count) * epsilon) * total;  // (V)
  if (CodeSearch::Fits(rows) && CodeSearch::Fits(ema_weight_)) {
    MoveCodes(rows, codes, decay, smoothed);
    return;
  }
  const torch::Tensor sums =
      torch::zeros_like(ema_weight_).index_add_(0, codes, rows.to(type));  // (V, D)
  ema_weight_.mul_(decay).add_(sums, 1 - decay);
  codebook_->weight.copy_(ema_weight_ / smoothed.unsqueeze(1));
}

void CodebookLevelImpl::MoveCodes(const torch::Tensor& rows, const torch::Tensor& codes,
                                  double decay, const torch::Tensor& smoothed) {
  const int64_t count = cluster_size_.size(0), n = rows.size(0), dim = rows.size(1);
  // The rows of each code, one code's after the other's, each in their order.
  const auto code_of = codes.accessor<int64_t, 1>();
  std::vector<int32_t> begin(static_cast<size_t>(count + 1)), mine(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    ++begin[static_cast<size_t>(code_of[i] + 1)];
  }
  std::partial_sum(begin.begin(), begin.end(), begin.begin());
  auto next = begin;
  for (int64_t i = 0; i < n; ++i) {
    mine[static_cast<size_t>(next[static_cast<size_t>(code_of[i])]++)] = static_cast<int32_t>(i);
  }
  const float* const from = rows.data_ptr<float>();
  const float* const sizes = smoothed.data_ptr<float>();
  float* const sums = ema_weight_.data_ptr<float>();
  float* const book = codebook_->weight.data_ptr<float>();
  constexpr int64_t kGrain = 1 << 15;  // numbers worth a thread
  at::parallel_for(0, count, std::max<int64_t>(1, kGrain / dim), [&](int64_t first, int64_t last) {
    for (int64_t v = first; v < last; ++v) {
      const int32_t* const rows_of_code = mine.data() + begin[static_cast<size_t>(v)];
      MoveCode(from, rows_of_code,
               begin[static_cast<size_t>(v + 1)] - begin[static_cast<size_t>(v)], dim, decay,
               sizes[v], sums + v * dim, book + v * dim);
    }
  });
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

ResidualQuantizerOutput ResidualQuantizerImpl::forward(const torch::Tensor& z) {
  HID_CHECK(z.dim() == 2 && z.size(1) == options_.dim, "z must be (N, {})", options_.dim);
  const nn::AutocastGuard full(z.device(), nn::Precision::kF32);
  ResidualQuantizerOutput output;
  torch::Tensor residuals;  // (L, N, D)
  output.codes = Search(z.detach(), &residuals);
  // Codewords carry no gradient, so the residual of each level keeps the one of z: every level's
  // commitment pulls on the encoder. (Passing the straight-through output down, as the reference
  // does, cuts it off below level 0.)
  const bool learns = torch::GradMode::is_enabled() && z.requires_grad();
  const auto errors =
      (learns ? residuals + (z - z.detach()) : residuals).square().mean({1, 2});  // (L)
  output.commitment_loss =
      (errors * torch::tensor(options_.commitment_costs, errors.options())).sum();
  output.level_errors = errors.detach();
  output.quantized = z + (Decode(output.codes) - z).detach();
  output.residuals = residuals.unbind(0);
  for (size_t l = 0; is_training() && l < levels_.size(); ++l) {
    const torch::Tensor input = l == 0 ? z.detach() : output.residuals[l - 1];
    levels_[l]->Update(input, output.codes.select(1, static_cast<int64_t>(l)), options_.decay,
                       options_.epsilon);
  }
  return output;
}

torch::Tensor ResidualQuantizerImpl::Encode(const torch::Tensor& z) const {
  HID_CHECK(z.dim() == 2 && z.size(1) == options_.dim, "z must be (N, {})", options_.dim);
  return Search(z, nullptr);
}

torch::Tensor ResidualQuantizerImpl::Search(const torch::Tensor& z,
                                            torch::Tensor* residuals) const {
  torch::NoGradGuard no_grad;
  const int64_t n = z.size(0), levels = options_.levels, dim = options_.dim;
  torch::Tensor codes = torch::empty({n, levels}, z.options().dtype(torch::kLong));
  if (residuals != nullptr) {
    *residuals = torch::empty({levels, n, dim}, z.options());
  }
  if (!CodeSearch::Fits(z) || !CodeSearch::Fits(levels_[0]->weight())) {
    torch::Tensor residual = z;  // (N, D)
    for (int64_t l = 0; l < levels; ++l) {
      const CodebookLevel& level = levels_[static_cast<size_t>(l)];
      const torch::Tensor nearest = level->Nearest(residual);
      codes.select(1, l).copy_(nearest);
      residual = residual - level->Lookup(nearest);
      if (residuals != nullptr) {
        residuals->select(0, l).copy_(residual);
      }
    }
    return codes;
  }
  std::vector<CodeSearch> searches;
  std::vector<const float*> books;
  for (const CodebookLevel& level : levels_) {
    searches.emplace_back(level->weight());
    books.push_back(level->weight().data_ptr<float>());
  }
  const float* const rows = z.data_ptr<float>();
  auto* const chosen = codes.data_ptr<int64_t>();
  float* const kept = residuals != nullptr ? residuals->data_ptr<float>() : nullptr;
  // All levels of a block while its rows are in the cache.
  constexpr int64_t kBlock = CodeSearch::kGrainRows;
  at::parallel_for(0, n, kBlock, [&](int64_t first, int64_t last) {
    std::vector<float> scratch(static_cast<size_t>(kBlock * dim));
    for (int64_t begin = first; begin < last; begin += kBlock) {
      const int64_t count = std::min(kBlock, last - begin);
      const float* input = rows + begin * dim;
      for (int64_t l = 0; l < levels; ++l) {
        int64_t* const nearest = chosen + begin * levels + l;
        searches[static_cast<size_t>(l)].Nearest(input, count, nearest, levels);
        if (kept == nullptr && l + 1 == levels) {
          break;
        }
        float* const left = kept != nullptr ? kept + (l * n + begin) * dim : scratch.data();
        SubtractCodes(input, count, dim, books[static_cast<size_t>(l)], nearest, levels, left);
        input = left;
      }
    }
  });
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
  nn::SaveSafetensors(path, nn::NamedState(*quantizer), Metadata(quantizer->options()));
}

ResidualQuantizer LoadResidualQuantizer(const std::filesystem::path& path) {
  const nn::SafetensorsFile file = nn::LoadSafetensors(path);
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
    nn::LoadNamedState(*quantizer, file.tensors);
  } catch (const Error& error) {
    throw UserError(error.hint(), "{}: {}", path.string(), error.what());
  }
  quantizer->eval();
  return quantizer;
}

}  // namespace hidreamer::tokenizer
