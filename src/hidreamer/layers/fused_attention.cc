#include "hidreamer/layers/fused_attention.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "hidreamer/base/error.h"
#include "hidreamer/kernels/attention.h"
#include "hidreamer/kernels/bf16_attention.h"
#include "hidreamer/layers/dropout.h"
#include "hidreamer/layers/norm_activation.h"
#include "hidreamer/training/flop_meter.h"

namespace hidreamer::layers {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kQueries = 128;  // of a block; its scores take 128 KB

struct Shape {
  explicit Shape(const torch::Tensor& qkv, int64_t head_count)
      : batch(qkv.size(0)),
        positions(qkv.size(1)),
        width(qkv.size(2) / 3),
        heads(head_count),
        head_width(width / heads),
        scale(1 / std::sqrt(static_cast<float>(head_width))) {}

  // Columns of part 0 (q), 1 (k) or 2 (v) of a head, (P, d), not contiguous.
  torch::Tensor Part(const torch::Tensor& qkv, int64_t pair, int64_t part) const {
    return qkv[pair / heads].narrow(1, part * width + pair % heads * head_width, head_width);
  }
  // A head's columns of (B, P, D).
  torch::Tensor Head(const torch::Tensor& x, int64_t pair) const {
    return x[pair / heads].narrow(1, pair % heads * head_width, head_width);
  }
  // Of a head's columns in rows of `parts` D numbers.
  int64_t Offset(int64_t pair, int64_t parts) const {
    return pair / heads * positions * parts * width + pair % heads * head_width;
  }
  uint32_t DropoutIndex(int64_t pair, int64_t query) const {
    return static_cast<uint32_t>((pair * positions + query) * positions);
  }

  int64_t batch, positions, width, heads, head_width;
  float scale;
};

// weights (B*heads, P, P) receive the softmax where they are given (for the backward pass).
torch::Tensor Forward(const Shape& shape, const torch::Tensor& qkv, const torch::Tensor& additive,
                      const kernels::DropoutPlan& plan, const torch::Tensor& weights) {
  const int64_t positions = shape.positions;
  torch::Tensor out = torch::empty({shape.batch, positions, shape.width}, qkv.options());
  at::parallel_for(0, shape.batch * shape.heads, 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor scratch = torch::empty({kQueries, positions}, qkv.options());
    const torch::Tensor dropped = torch::empty({kQueries, positions}, qkv.options());
    for (int64_t pair = begin; pair < end; ++pair) {
      const torch::Tensor q = shape.Part(qkv, pair, 0), k = shape.Part(qkv, pair, 1),
                          v = shape.Part(qkv, pair, 2), head = shape.Head(out, pair);
      for (int64_t first = 0; first < positions; first += kQueries) {
        const int64_t queries = std::min(kQueries, positions - first), keys = first + queries;
        torch::Tensor scores = (weights.defined() ? weights[pair].narrow(0, first, queries)
                                                  : scratch.narrow(0, 0, queries))
                                   .narrow(1, 0, keys);
        torch::mm_out(scores, q.narrow(0, first, queries), k.narrow(0, 0, keys).t());
        const bool drops = plan.threshold > 0;
        for (int64_t i = 0; i < queries; ++i) {
          float* const row = scores.data_ptr<float>() + i * positions;
          kernels::MaskedSoftmax(row, additive.data_ptr<float>() + (first + i) * positions, keys,
                                 shape.scale);
          if (drops) {
            kernels::ApplyDropout(plan, shape.DropoutIndex(pair, first + i), row, keys,
                                  dropped.data_ptr<float>() + i * positions);
          }
        }
        torch::Tensor attended = head.narrow(0, first, queries);
        torch::mm_out(attended, drops ? dropped.narrow(0, 0, queries).narrow(1, 0, keys) : scores,
                      v.narrow(0, 0, keys));
      }
    }
  });
  return out;
}

torch::Tensor Backward(const Shape& shape, const torch::Tensor& qkv, const torch::Tensor& weights,
                       const kernels::DropoutPlan& plan, const torch::Tensor& gradient) {
  const int64_t positions = shape.positions;
  const torch::Tensor out = torch::zeros(qkv.sizes(), qkv.options());
  at::parallel_for(0, shape.batch * shape.heads, 1, [&](int64_t begin, int64_t end) {
    const torch::NoGradGuard no_grad;
    const torch::Tensor score_scratch = torch::empty({kQueries, positions}, qkv.options());
    const torch::Tensor dropped_scratch = torch::empty({kQueries, positions}, qkv.options());
    for (int64_t pair = begin; pair < end; ++pair) {
      const torch::Tensor q = shape.Part(qkv, pair, 0), k = shape.Part(qkv, pair, 1),
                          v = shape.Part(qkv, pair, 2), head = shape.Head(gradient, pair);
      const torch::Tensor dq = shape.Part(out, pair, 0), dk = shape.Part(out, pair, 1),
                          dv = shape.Part(out, pair, 2);
      for (int64_t first = 0; first < positions; first += kQueries) {
        const int64_t queries = std::min(kQueries, positions - first), keys = first + queries;
        const torch::Tensor upstream = head.narrow(0, first, queries);
        torch::Tensor scores = score_scratch.narrow(0, 0, queries).narrow(1, 0, keys);
        const torch::Tensor dropped = dropped_scratch.narrow(0, 0, queries).narrow(1, 0, keys);
        torch::mm_out(scores, upstream, v.narrow(0, 0, keys).t());
        for (int64_t i = 0; i < queries; ++i) {
          kernels::MaskedSoftmaxBackward(
              plan, shape.DropoutIndex(pair, first + i),
              weights.data_ptr<float>() + (pair * positions + first + i) * positions, keys,
              shape.scale, scores.data_ptr<float>() + i * positions,
              dropped.data_ptr<float>() + i * positions);
        }
        torch::Tensor to_q = dq.narrow(0, first, queries), to_k = dk.narrow(0, 0, keys),
                      to_v = dv.narrow(0, 0, keys);
        torch::mm_out(to_q, scores, k.narrow(0, 0, keys));
        torch::addmm_out(to_k, to_k, scores.t(), q.narrow(0, first, queries));
        torch::addmm_out(to_v, to_v, dropped.t(), upstream);
      }
    }
  });
  return out;
}

kernels::Bf16Head HeadOf(const Shape& shape, const torch::Tensor& qkv,
                         const torch::Tensor& additive, const kernels::DropoutPlan& plan,
                         int64_t pair) {
  const kernels::Bf16* const q = Bf16Data(qkv) + shape.Offset(pair, 3);
  return {.q = q,
          .k = q + shape.width,
          .v = q + 2 * shape.width,
          .stride = 3 * shape.width,
          .positions = shape.positions,
          .width = shape.head_width,
          .additive = additive.data_ptr<float>(),
          .scale = shape.scale,
          .dropout = plan,
          .dropout_index = shape.DropoutIndex(pair, 0)};
}

// statistics (B*heads, 2, P) f32, where defined, for the backward pass.
torch::Tensor ForwardInBf16(const Shape& shape, const torch::Tensor& qkv,
                            const torch::Tensor& additive, const kernels::DropoutPlan& plan,
                            const torch::Tensor& statistics) {
  torch::Tensor out = torch::empty({shape.batch, shape.positions, shape.width}, qkv.options());
  kernels::Bf16* const to = Bf16Data(out);
  at::parallel_for(0, shape.batch * shape.heads, 1, [&](int64_t begin, int64_t end) {
    kernels::Bf16AttentionScratch scratch;
    for (int64_t pair = begin; pair < end; ++pair) {
      kernels::AttendHead(
          HeadOf(shape, qkv, additive, plan, pair), to + shape.Offset(pair, 1), shape.width,
          statistics.defined() ? statistics.data_ptr<float>() + pair * 2 * shape.positions
                               : nullptr,
          scratch);
    }
  });
  return out;
}

// The gradients of qkv and of its bias (3 D) f32.
std::pair<torch::Tensor, torch::Tensor> BackwardInBf16(const Shape& shape, const torch::Tensor& qkv,
                                                       const torch::Tensor& additive,
                                                       const torch::Tensor& statistics,
                                                       const kernels::DropoutPlan& plan,
                                                       const torch::Tensor& gradient) {
  const torch::Tensor out = torch::empty_like(qkv);
  const torch::Tensor sums = torch::empty({shape.batch, shape.heads, 3, shape.head_width},
                                          qkv.options().dtype(torch::kFloat32));
  const torch::Tensor upstream = gradient.contiguous();
  at::parallel_for(0, shape.batch * shape.heads, 1, [&](int64_t begin, int64_t end) {
    kernels::Bf16AttentionScratch scratch;
    for (int64_t pair = begin; pair < end; ++pair) {
      kernels::Bf16* const q = Bf16Data(out) + shape.Offset(pair, 3);
      kernels::AttendHeadBackward(HeadOf(shape, qkv, additive, plan, pair),
                                  statistics.data_ptr<float>() + pair * 2 * shape.positions,
                                  Bf16Data(upstream) + shape.Offset(pair, 1), shape.width, q,
                                  q + shape.width, q + 2 * shape.width, scratch);
      for (int64_t part = 0; part < 3; ++part) {
        kernels::SumColumns(q + part * shape.width, shape.positions, 3 * shape.width,
                            shape.head_width,
                            sums.data_ptr<float>() + (3 * pair + part) * shape.head_width);
      }
    }
  });
  return {out, sums.sum(0).transpose(0, 1).reshape({3 * shape.width})};
}

// The products of all heads, scores and sums, half of them behind the queries.
void CountProducts(const Shape& shape, int64_t products) {
  training::CountFlops(products * shape.batch * shape.positions * shape.positions * shape.width);
}

struct Bf16AttentionFunction : torch::autograd::Function<Bf16AttentionFunction> {
  // bias: the one in qkv, for its gradient; or empty.
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& qkv,
                               const torch::Tensor& bias, const torch::Tensor& additive,
                               int64_t heads, const kernels::DropoutPlan& plan) {
    const Shape shape(qkv, heads);
    const torch::Tensor statistics = torch::empty({shape.batch * heads, 2, shape.positions},
                                                  qkv.options().dtype(torch::kFloat32));
    context->save_for_backward({qkv, additive, statistics});
    context->saved_data["heads"] = heads;
    context->saved_data["plan"] = ToIValue(plan);
    context->saved_data["biased"] = bias.numel() > 0;
    CountProducts(shape, 2);
    return ForwardInBf16(shape, qkv, additive, plan, statistics);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Shape shape(saved[0], context->saved_data["heads"].toInt());
    CountProducts(shape, 4);
    const auto [qkv, bias] =
        BackwardInBf16(shape, saved[0], saved[1], saved[2],
                       DropoutPlanFromIValue(context->saved_data["plan"]), gradients[0]);
    return {qkv, context->saved_data["biased"].toBool() ? bias : torch::Tensor(), {}, {}, {}};
  }
};

struct FusedAttentionFunction : torch::autograd::Function<FusedAttentionFunction> {
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& qkv,
                               const torch::Tensor& additive, int64_t heads,
                               const kernels::DropoutPlan& plan) {
    const Shape shape(qkv, heads);
    const torch::Tensor weights =
        torch::empty({shape.batch * heads, shape.positions, shape.positions}, qkv.options());
    context->save_for_backward({qkv, weights});
    context->saved_data["heads"] = heads;
    context->saved_data["plan"] = ToIValue(plan);
    return Forward(shape, qkv, additive, plan, weights);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const Shape shape(saved[0], context->saved_data["heads"].toInt());
    return {Backward(shape, saved[0], saved[1], DropoutPlanFromIValue(context->saved_data["plan"]),
                     gradients[0]),
            {},
            {},
            {}};
  }
};

}  // namespace

torch::Tensor PlainAttention(const torch::Tensor& qkv, const torch::Tensor& additive, int64_t heads,
                             double dropout) {
  const int64_t batch = qkv.size(0), positions = qkv.size(1), width = qkv.size(2) / 3;
  const int64_t head_width = width / heads;
  const torch::Tensor split =
      qkv.view({batch, positions, 3, heads, head_width}).permute({2, 0, 3, 1, 4});
  const torch::Tensor q = split[0].reshape({batch * heads, positions, head_width});
  const torch::Tensor k = split[1].reshape({batch * heads, positions, head_width});
  const torch::Tensor v = split[2].reshape({batch * heads, positions, head_width});
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_width));
  const torch::Tensor scores =
      torch::baddbmm(additive.to(q.scalar_type()), q, k.transpose(1, 2), /*beta=*/1,
                     /*alpha=*/scale);  // (B*heads, P, P)
  const torch::Tensor weights = torch::dropout(torch::softmax(scores, -1), dropout, dropout > 0);
  return torch::bmm(weights, v)
      .view({batch, heads, positions, head_width})
      .transpose(1, 2)
      .reshape({batch, positions, width});
}

bool HasFusedAttention(const torch::Tensor& qkv, int64_t heads) {
  if (!qkv.is_cpu()) {
    return false;
  }
  return qkv.scalar_type() == torch::kFloat32 ||
         (qkv.scalar_type() == torch::kBFloat16 && kernels::HasBf16Kernels() &&
          qkv.size(2) / 3 / heads % 32 == 0);
}

torch::Tensor FusedAttention(const torch::Tensor& qkv, const torch::Tensor& additive, int64_t heads,
                             double dropout) {
  HID_CHECK(HasFusedAttention(qkv, heads) && additive.is_contiguous(),
            "no fused attention for this type and device");
  const kernels::DropoutPlan plan = PlanDropout(dropout);
  const torch::Tensor contiguous = qkv.contiguous();
  const bool differentiate = torch::GradMode::is_enabled() && qkv.requires_grad();
  const Shape shape(contiguous, heads);
  if (qkv.scalar_type() == torch::kBFloat16) {
    if (differentiate) {
      return Bf16AttentionFunction::apply(contiguous, torch::empty({0}), additive, heads, plan);
    }
    CountProducts(shape, 2);
    return ForwardInBf16(shape, contiguous, additive, plan, {});
  }
  return differentiate ? FusedAttentionFunction::apply(contiguous, additive, heads, plan)
                       : Forward(shape, contiguous, additive, plan, {});
}

torch::Tensor FusedAttentionOfBiased(const torch::Tensor& qkv, const torch::Tensor& bias,
                                     const torch::Tensor& additive, int64_t heads, double dropout) {
  HID_CHECK(HasFusedAttention(qkv, heads) && qkv.scalar_type() == torch::kBFloat16 &&
                additive.is_contiguous() && bias.numel() == qkv.size(2),
            "no fused attention with a bias for this type and device");
  return Bf16AttentionFunction::apply(qkv.contiguous(), bias, additive, heads,
                                      PlanDropout(dropout));
}

}  // namespace hidreamer::layers
