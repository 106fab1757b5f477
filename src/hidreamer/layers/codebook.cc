#include "hidreamer/layers/codebook.h"

namespace hidreamer::layers {

double SubtractCodewords(const torch::Tensor& rows, const torch::Tensor& codebook,
                         const int64_t* codes, const torch::Tensor& rest) {
  return kernels::SubtractCodewords(rows.data_ptr<float>(), codebook.data_ptr<float>(), codes,
                                    rows.size(0), rows.size(1), rest.data_ptr<float>());
}

AveragesMove MoveAverages(const torch::Tensor& sizes, const torch::Tensor& sums,
                          const torch::Tensor& codebook, const torch::Tensor& rows,
                          const int64_t* codes, double decay, double epsilon) {
  return {{.codes = sizes.size(0),
           .dim = sums.size(1),
           .sizes = sizes.data_ptr<float>(),
           .sums = sums.data_ptr<float>(),
           .codebook = codebook.data_ptr<float>()},
          rows.data_ptr<float>(),
          codes,
          rows.size(0),
          static_cast<float>(decay),
          static_cast<float>(epsilon)};
}

}  // namespace hidreamer::layers
