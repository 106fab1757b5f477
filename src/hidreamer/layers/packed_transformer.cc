#include "hidreamer/layers/packed_transformer.h"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <optional>

#include "hidreamer/layers/norm_activation.h"
#include "hidreamer/layers/parallel_for_dynamic.h"
#include "hidreamer/layers/precision.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

// Of one position: with more, each has less than a panel of the smallest matrices.
constexpr int64_t kMostThreads = 12;

std::vector<float> Copy(const torch::Tensor& x) {
  return {x.data_ptr<float>(), x.data_ptr<float>() + x.numel()};
}

kernels::NormWeights NormOf(const torch::Tensor& weight, const torch::Tensor& bias) {
  return {.weight = Copy(weight), .bias = Copy(bias)};
}

}  // namespace

bool PackedTransformer::Can(const TransformerParts& parts) {
  const torch::Tensor weight = parts.final_norm->weight;
  const int64_t width = weight.size(0);
  return kernels::HasBf16Kernels() && weight.is_cpu() && weight.scalar_type() == torch::kFloat32 &&
         width % 32 == 0 && width / parts.heads % 32 == 0 && parts.hidden_width % 32 == 0;
}

bool PackedTransformer::Applies(const TransformerParts& parts) {
  return !torch::GradMode::is_enabled() && IsBf16Autocast(torch::kCPU) && Can(parts);
}

std::shared_ptr<const PackedTransformer> PackedTransformer::Of(const TransformerParts& parts) {
  std::vector<torch::Tensor> parameters = parts.final_norm->parameters();
  for (const TransformerBlock& block : parts.blocks) {
    const auto own = block->parameters();
    parameters.insert(parameters.end(), own.begin(), own.end());
  }
  return parts.packed->Get(parameters, [&] { return PackedTransformer(parts); });
}

PackedTransformer::PackedTransformer(const TransformerParts& parts) {
  weights_.width = parts.final_norm->weight.size(0);
  weights_.heads = parts.heads;
  weights_.hidden_width = parts.hidden_width;
  weights_.blocks.resize(parts.blocks.size());
  struct Job {
    torch::Tensor weight, bias;
    kernels::LinearWeights* to;
  };
  std::vector<Job> jobs;
  for (size_t layer = 0; layer < parts.blocks.size(); ++layer) {
    const auto parameters = parts.blocks[layer]->named_parameters();
    kernels::BlockWeights& block = weights_.blocks[layer];
    jobs.push_back(
        {parameters["attn.in_proj_weight"], parameters["attn.in_proj_bias"], &block.qkv});
    jobs.push_back(
        {parameters["attn.out_proj.weight"], parameters["attn.out_proj.bias"], &block.out});
    jobs.push_back({parameters["ffn.0.weight"], parameters["ffn.0.bias"], &block.expand});
    jobs.push_back({parameters["ffn.3.weight"], parameters["ffn.3.bias"], &block.contract});
    block.norm1 = NormOf(parameters["ln1.weight"], parameters["ln1.bias"]);
    block.norm2 = NormOf(parameters["ln2.weight"], parameters["ln2.bias"]);
  }
  weights_.final_norm = NormOf(parts.final_norm->weight, parts.final_norm->bias);
  at::parallel_for(0, static_cast<int64_t>(jobs.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Job& job = jobs[static_cast<size_t>(i)];
      job.to->weight =
          kernels::Bf16Matrix(job.weight.data_ptr<float>(), job.weight.size(0), job.weight.size(1));
      job.to->bias = Copy(job.bias);
    }
  });
}

void PackedTransformer::CountProducts(int64_t rows, int64_t last_block_rows) const {
  const auto layers = static_cast<int64_t>(weights_.blocks.size());
  const int64_t width = weights_.width, hidden = weights_.hidden_width;
  training::CountProduct(rows, width, 2 * width, torch::kBFloat16, layers);  // keys and values
  for (const auto& [inner, outputs] : {std::pair{width, width}, std::pair{width, width},
                                       std::pair{width, hidden}, std::pair{hidden, width}}) {
    training::CountProduct(rows, inner, outputs, torch::kBFloat16, layers - 1);
    training::CountProduct(last_block_rows, inner, outputs, torch::kBFloat16);
  }
}

torch::Tensor PackedTransformer::Transform(torch::Tensor x, const torch::Tensor& additive,
                                           std::vector<torch::Tensor>* qkv, int64_t from) const {
  const torch::NoGradGuard no_grad;
  x = x.to(torch::kFloat32).contiguous();
  const int64_t batch = x.size(0), positions = x.size(1), width = weights_.width;
  const auto* const masks = additive.data_ptr<float>();
  const int64_t mask_stride = additive.dim() == 3 ? positions * positions : 0;
  if (qkv != nullptr) {
    for (size_t layer = 0; layer < weights_.blocks.size(); ++layer) {
      qkv->push_back(
          torch::empty({batch, positions, 3 * width}, x.options().dtype(torch::kBFloat16)));
    }
  }
  auto* const rows = x.data_ptr<float>();
  ParallelForDynamic(batch, [&](const auto& next) {
    while (const std::optional<int64_t> row = next()) {
      std::vector<kernels::Bf16*> projections;
      for (size_t layer = 0; qkv != nullptr && layer < qkv->size(); ++layer) {
        projections.push_back(Bf16Data((*qkv)[layer]) + *row * positions * 3 * width);
      }
      kernels::TransformSequence(weights_, masks + *row * mask_stride, positions, from,
                                 rows + *row * positions * width, projections);
    }
  });
  CountProducts(batch * positions, batch * (positions - from));
  // Attention, half of it under the causal mask.
  const auto layers = static_cast<int64_t>(weights_.blocks.size());
  const int64_t queries = (layers - 1) * positions + positions - from;
  training::CountFlops(2 * batch * queries * positions * width);
  return x.narrow(1, from, positions - from);
}

torch::Tensor PackedTransformer::Decode(const torch::Tensor& x, DecodeCache& cache,
                                        const std::vector<int64_t>& begins, int64_t place) const {
  torch::Tensor hidden = x.to(torch::kFloat32, /*non_blocking=*/false, /*copy=*/true).contiguous();
  auto* const rows = hidden.data_ptr<float>();
  kernels::DecodeTeam team(weights_, x.size(0));
  // Of all threads, though some may have nothing to do: a smaller team would end the others.
#pragma omp parallel if (!at::in_parallel_region())
  {
    const Part part{omp_get_thread_num(), std::min<int64_t>(omp_get_num_threads(), kMostThreads)};
    if (part.index < part.count) {
      kernels::DecodeRows(weights_, cache, begins.data(), place, x.size(0), rows, team, part);
    }
  }
  CountProducts(x.size(0), x.size(0));
  return hidden;
}

void PackedTransformer::Fill(DecodeCache& cache, const std::vector<torch::Tensor>& qkv,
                             const std::vector<int64_t>& sources,
                             const std::vector<int64_t>& places) const {
  const int64_t width = weights_.width, head_width = width / weights_.heads;
  for (size_t layer = 0; layer < qkv.size(); ++layer) {
    const torch::Tensor narrow = qkv[layer].to(torch::kBFloat16).contiguous();
    const kernels::Bf16* const from = Bf16Data(narrow);
    at::parallel_for(0, narrow.size(0), 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        for (size_t i = 0; i < sources.size(); ++i) {
          const kernels::Bf16* const q = from + (row * narrow.size(1) + sources[i]) * 3 * width;
          for (int64_t head = 0; head < weights_.heads; ++head) {
            const kernels::Bf16* const key = q + width + head * head_width;
            cache.Store(static_cast<int64_t>(layer), row, head, places[i], key, key + width);
          }
        }
      }
    });
  }
}

}  // namespace hidreamer::layers
