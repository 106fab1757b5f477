#include "hidreamer/report/animation.h"

#include <algorithm>

namespace hidreamer::report {

std::vector<Image> DreamAnimation(const nlohmann::json& dream,
                                  const std::function<Image(int64_t row)>& frame) {
  constexpr int64_t kGap = 4;
  constexpr int64_t kFactor = 2;
  std::vector<Image> pictures;
  const auto add = [&](int64_t left, int64_t right, uint8_t gap_shade) {
    std::vector<Image> pair = {frame(left), frame(right)};
    if (!pair[0].pixels.empty() && !pair[1].pixels.empty()) {
      pictures.push_back(Enlarge(Tile(pair, 2, kGap, gap_shade), kFactor));
    }
  };
  for (const auto& row : dream.value("context_rows", nlohmann::json::array())) {
    add(row.get<int64_t>(), row.get<int64_t>(), 90);
  }
  const auto& truth = dream.at("truth_rows");
  const auto& dreamed = dream.at("dream_rows");
  for (size_t i = 0; i < std::min(truth.size(), dreamed.size()); ++i) {
    add(truth[i].get<int64_t>(), dreamed[i].get<int64_t>(), 220);
  }
  return pictures;
}

}  // namespace hidreamer::report
