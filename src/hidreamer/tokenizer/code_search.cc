#include "hidreamer/tokenizer/code_search.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "hidreamer/base/error.h"
#include "hidreamer/nn/flop_meter.h"
#include "hidreamer/tokenizer/codebook_kernels.h"

namespace hidreamer::tokenizer {

bool CodeSearch::Fits(const torch::Tensor& codes) {
  return codes.is_cpu() && codes.scalar_type() == torch::kFloat32 && codes.dim() == 2 &&
         codes.is_contiguous();
}

CodeSearch::CodeSearch(const torch::Tensor& codes) : codes_(codes.size(0)), dim_(codes.size(1)) {
  HID_CHECK(Fits(codes), "codes must be (V, D) f32, contiguous, on the CPU");
  const int64_t width = PanelCodes(), panels = (codes_ + width - 1) / width;
  panels_ = torch::empty({panels, dim_, width});
  half_norms_ = torch::empty({panels, width});
  const float* const from = codes.data_ptr<float>();
  float* const to = panels_.data_ptr<float>();
  float* const norms = half_norms_.data_ptr<float>();
  constexpr int64_t kGrain = 1 << 15;  // numbers worth a thread
  at::parallel_for(0, panels, std::max<int64_t>(1, kGrain / (width * dim_)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t p = begin; p < end; ++p) {
                       PackPanel(from + p * width * dim_, std::min(width, codes_ - p * width), dim_,
                                 to + p * width * dim_, norms + p * width);
                     }
                   });
}

void CodeSearch::Nearest(const float* rows, int64_t count, int64_t* nearest, int64_t stride) const {
  NearestCodes(rows, count,
               {.panels = panels_.data_ptr<float>(),
                .half_norms = half_norms_.data_ptr<float>(),
                .codes = codes_,
                .dim = dim_},
               nearest, stride);
  nn::CountFlops(2 * count * codes_ * dim_);
}

}  // namespace hidreamer::tokenizer
