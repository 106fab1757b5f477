#include "hidreamer/kernels/categorical.h"

#include <algorithm>

#include "hidreamer/kernels/vector_clones.h"
#include "hidreamer/kernels/vector_math.h"

namespace hidreamer::kernels {

HID_VECTOR_CLONES
void CategoriesOfLogits(const float* logits, int64_t rows, int64_t categories, float temperature,
                        const double* uniforms, int64_t* out, float* scratch) {
  constexpr int64_t kBlock = 16;  // summed at once, then looked through
  const float scale = 1 / temperature;
  for (int64_t r = 0; r < rows; ++r, logits += categories) {
    float largest = logits[0];
    for (int64_t v = 1; v < categories; ++v) {
      largest = logits[v] > largest ? logits[v] : largest;
    }
    for (int64_t v = 0; v < categories; ++v) {
      scratch[v] = ExpOfNegative((logits[v] - largest) * scale);
    }
    double total = 0;
    for (int64_t v = 0; v < categories; ++v) {
      total += static_cast<double>(scratch[v]);
    }
    const double threshold = uniforms[r] * total;
    double below = 0;
    int64_t found = categories - 1;
    for (int64_t first = 0; first < categories; first += kBlock) {
      const int64_t end = std::min(first + kBlock, categories);
      double next = below;
      for (int64_t v = first; v < end; ++v) {
        next += static_cast<double>(scratch[v]);
      }
      if (next > threshold) {
        for (found = first; found + 1 < end; ++found) {
          below += static_cast<double>(scratch[found]);
          if (below > threshold) {
            break;
          }
        }
        break;
      }
      below = next;
    }
    out[r] = found;
  }
}

}  // namespace hidreamer::kernels
