#include "hidreamer/evaluation/frame_lookup.h"

#include <map>

#include "hidreamer/base/error.h"

namespace hidreamer::evaluation {

FrameLookup::FrameLookup(const tokenizer::TokenizedGame& game,
                         tokenizer::ResidualQuantizer quantizer,
                         const std::vector<data::EpisodeRange>& episodes)
    : quantizer_(std::move(quantizer)) {
  const torch::NoGradGuard no_grad;
  const torch::Tensor tokens = game.tokens.contiguous();
  const int64_t levels = tokens.size(1);
  const auto* codes = tokens.data_ptr<int64_t>();
  std::map<std::vector<int64_t>, int64_t> first_row;
  for (const data::EpisodeRange& episode : episodes) {
    for (int64_t row = episode.begin; row < episode.end; ++row) {
      first_row.emplace(std::vector<int64_t>(codes + row * levels, codes + (row + 1) * levels),
                        row);
    }
  }
  HID_CHECK(!first_row.empty(), "no rows to look frames up in");
  std::vector<int64_t> rows;
  for (const auto& [tuple, row] : first_row) {
    rows.push_back(row);
  }
  rows_ = torch::tensor(rows, torch::kInt64);
  tuples_ = tokens.index_select(0, rows_);
  vectors_ = quantizer_->Decode(tuples_);
}

FrameLookup::Match FrameLookup::Find(const torch::Tensor& tuples) const {
  const torch::NoGradGuard no_grad;
  Match match;
  const torch::Tensor squares = vectors_.square().sum(1);
  for (const torch::Tensor& chunk : tuples.split(256)) {
    // |v|^2 - 2 v.q ranks like the distance; a stored tuple is looked for by its codes.
    const torch::Tensor query = quantizer_->Decode(chunk);
    const torch::Tensor nearest = (squares - 2 * query.mm(vectors_.t())).argmin(1);
    for (int64_t i = 0; i < chunk.size(0); ++i) {
      const torch::Tensor same = (tuples_ == chunk[i]).all(1);
      const bool exact = same.any().item<bool>();
      const int64_t index =
          exact ? same.to(torch::kInt64).argmax().item<int64_t>() : nearest[i].item<int64_t>();
      match.rows.push_back(rows_[index].item<int64_t>());
      match.exact.push_back(exact);
    }
  }
  return match;
}

}  // namespace hidreamer::evaluation
