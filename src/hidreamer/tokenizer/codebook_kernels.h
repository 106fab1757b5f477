#pragma once

#include <cstdint>

// The inner loops of vector quantization on a CPU, f32, one thread. The widest version that the
// processor has is taken; a row's result does not depend on the rows beside it.
namespace hidreamer::tokenizer {

// Codes in panels that the search reads from front to back: the panel's first number of each of its
// codes, then the second, …; codes that fill up the last panel are never the nearest.
struct PackedCodes {
  const float* panels = nullptr;      // (panels, dim, panel)
  const float* half_norms = nullptr;  // (panels, panel) |c|²/2
  int64_t codes = 0, dim = 0;
};

int64_t PanelCodes();  // codes of a panel on this processor
// codes (count, dim) -> panels, half_norms; `panel` of them, those beyond the last code as padding.
void PackPanel(const float* codes, int64_t count, int64_t dim, float* panel, float* half_norms);

// The nearest code of each row (count, dim) by squared distance, the first of equally near ones, to
// nearest[i * stride]. Of |z - c|² only |c|²/2 - z.c is computed, and no more of it kept than the
// smallest so far.
void NearestCodes(const float* rows, int64_t count, const PackedCodes& packed, int64_t* nearest,
                  int64_t stride);

// left (count, dim) = rows - the codes (., dim) numbered in nearest[i * stride].
void SubtractCodes(const float* rows, int64_t count, int64_t dim, const float* codes,
                   const int64_t* nearest, int64_t stride, float* left);

// One code's moving average: sum <- keep * sum + (1 - keep) * (its rows' total), code <- sum /
// size.
//   rows (., dim), of which the `count` numbered in `mine` are the code's
void MoveCode(const float* rows, const int32_t* mine, int64_t count, int64_t dim, double keep,
              float size, float* sum, float* code);

}  // namespace hidreamer::tokenizer
