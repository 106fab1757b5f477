#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "hidreamer/report/image.h"

namespace hidreamer::report {

// The pictures of a dream's animation: the game at the left, the dream at the right, real steps
// first (both sides alike), enlarged twice. `dream` holds context_rows, truth_rows and dream_rows
// (evaluation/dream_pictures.h); steps whose frame is missing are left out.
std::vector<Image> DreamAnimation(const nlohmann::json& dream,
                                  const std::function<Image(int64_t row)>& frame);

}  // namespace hidreamer::report
