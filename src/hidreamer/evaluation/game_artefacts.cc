#include "hidreamer/evaluation/game_artefacts.h"

#include <algorithm>

#include "hidreamer/base/error.h"

namespace hidreamer::evaluation {

std::vector<int64_t> SpreadWindowStarts(const std::vector<data::EpisodeRange>& episodes,
                                        int64_t length, int64_t stride, int64_t count) {
  HID_CHECK(length > 0 && stride > 0, "length {}, stride {}", length, stride);
  std::vector<int64_t> all;
  for (const data::EpisodeRange& episode : episodes) {
    for (int64_t start = episode.begin; start + length <= episode.end; start += stride) {
      all.push_back(start);
    }
  }
  const auto size = static_cast<int64_t>(all.size());
  if (size <= count) {
    return all;
  }
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < count; ++i) {
    chosen.push_back(all[static_cast<size_t>(i * size / count)]);
  }
  return chosen;
}

std::vector<std::vector<int64_t>> Chunks(const std::vector<int64_t>& all, size_t size) {
  std::vector<std::vector<int64_t>> chunks;
  for (size_t i = 0; i < all.size(); i += size) {
    chunks.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(i),
                        all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), i + size)));
  }
  return chunks;
}

torch::Tensor WindowRows(const std::vector<int64_t>& starts, int64_t length) {
  return torch::tensor(starts, torch::kInt64).unsqueeze(1) +
         torch::arange(length, torch::kInt64).unsqueeze(0);
}

torch::Tensor TakeRows(const torch::Tensor& values, const torch::Tensor& rows) {
  std::vector<int64_t> shape = rows.sizes().vec();
  for (int64_t d = 1; d < values.dim(); ++d) {
    shape.push_back(values.size(d));
  }
  return values.index_select(0, rows.reshape({-1})).view(shape);
}

}  // namespace hidreamer::evaluation
