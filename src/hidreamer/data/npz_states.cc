#include "hidreamer/data/npz_states.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "hidreamer/base/error.h"
#include "hidreamer/env/environment.h"

namespace hidreamer::data {
namespace {

using env::kFrameBytes;
using env::kFrameSize;
using env::kStackDepth;

constexpr double kWhite = 255;
constexpr const char* kNumbersWanted =
    "pictures are whole numbers from 0 to 255, or fractions from 0 to 1";

}  // namespace

NpzStates::NpzStates(NpzArchive& archive, const std::string& name)
    : archive_(archive), name_(name), header_(archive.Open(name)) {
  FindLayout();
  const auto row_items = static_cast<size_t>(depth_ * kFrameBytes);
  bytes_.resize(row_items * static_cast<size_t>(header_.item_bytes));
  items_.resize(row_items);
  if (header_.fortran) {
    Transpose();
  }
  if (header_.kind != 'u' || header_.item_bytes != 1) {
    FindScale();
    Rewind();
  }
}

void NpzStates::FindLayout() {
  const std::vector<int64_t>& shape = header_.shape;
  const std::vector<int64_t> row(shape.empty() ? shape.begin() : shape.begin() + 1, shape.end());
  constexpr int64_t kSize = kFrameSize;
  if (row == std::vector<int64_t>{kStackDepth, kSize, kSize} ||
      row == std::vector<int64_t>{kSize, kSize, kStackDepth}) {
    depth_ = kStackDepth;
  } else if (row == std::vector<int64_t>{kSize, kSize} ||
             row == std::vector<int64_t>{1, kSize, kSize} ||
             row == std::vector<int64_t>{kSize, kSize, 1}) {
    depth_ = 1;
    notes_.push_back(fmt::format("'{}' holds single frames", name_));
  } else {
    throw UserError("stacks of four gray frames (N,4,84,84) or (N,84,84,4), or frames (N,84,84)",
                    "array '{}' has shape {}", name_, ShapeText(shape));
  }
  if (shape[0] == 0) {
    throw UserError("", "array '{}' has no rows", name_);
  }
  if (header_.kind == 'b') {
    throw UserError(kNumbersWanted, "array '{}' holds truth values", name_);
  }
  const bool channels_last = row.back() == depth_ && depth_ != kSize && row.size() == 3;
  if (channels_last && depth_ > 1) {
    notes_.push_back(fmt::format("'{}' has its channels last", name_));
  }
  if (!(channels_last && depth_ > 1) && !header_.fortran) {
    return;
  }
  // Position in a row as the file has it -> place in (depth, 84, 84).
  places_.resize(static_cast<size_t>(depth_ * kFrameBytes));
  for (int64_t c = 0; c < depth_; ++c) {
    for (int64_t y = 0; y < kSize; ++y) {
      for (int64_t x = 0; x < kSize; ++x) {
        std::vector<int64_t> index = channels_last ? std::vector{y, x, c} : std::vector{c, y, x};
        std::vector<int64_t> sizes =
            channels_last ? std::vector{kSize, kSize, depth_} : std::vector{depth_, kSize, kSize};
        if (header_.fortran) {
          std::reverse(index.begin(), index.end());
          std::reverse(sizes.begin(), sizes.end());
        }
        const int64_t at = (index[0] * sizes[1] + index[1]) * sizes[2] + index[2];
        places_[static_cast<size_t>(at)] = static_cast<uint32_t>((c * kSize + y) * kSize + x);
      }
    }
  }
}

// Rows one after another, from an array whose first dimension, the row, runs fastest.
void NpzStates::Transpose() {
  const auto count = static_cast<size_t>(rows());
  const auto item = static_cast<size_t>(header_.item_bytes);
  if (count > static_cast<size_t>(MemoryOfMachine()) / 2 / bytes_.size()) {
    throw UserError("save it with numpy.ascontiguousarray",
                    "array '{}' is in Fortran order and too large to be turned in memory", name_);
  }
  turned_.emplace(count * bytes_.size());
  constexpr size_t kPositions = 64;  // read at a time, so that neighbours are written together
  const size_t positions = bytes_.size() / item;
  std::vector<uint8_t> block;
  for (size_t begin = 0; begin < positions; begin += kPositions) {
    const size_t width = std::min(kPositions, positions - begin);
    block.resize(width * count * item);
    archive_.Read(block);
    for (size_t row = 0; row < count; ++row) {
      uint8_t* out = turned_->data() + row * bytes_.size() + begin * item;
      for (size_t i = 0; i < width; ++i, out += item) {
        std::memcpy(out, block.data() + (i * count + row) * item, item);
      }
    }
  }
  archive_.Close();
  notes_.push_back(fmt::format("'{}' is in Fortran order", name_));
}

void NpzStates::Rewind() {
  next_row_ = 0;
  if (!turned_) {
    archive_.Close();
    archive_.Open(name_);
  }
}

void NpzStates::ReadRow(std::span<uint8_t> bytes) {
  if (turned_) {
    std::memcpy(bytes.data(), turned_->data() + static_cast<size_t>(next_row_) * bytes.size(),
                bytes.size());
  } else {
    archive_.Read(bytes);
  }
  ++next_row_;
}

void NpzStates::FindScale() {
  double most = 0;
  bool whole = true;
  for (int64_t row = 0; row < rows(); ++row) {
    ReadRow(bytes_);
    formats::DecodeNpyItems(header_, bytes_, items_.data());
    for (const double item : items_) {
      if (!(item >= 0 && item <= kWhite)) {
        throw UserError(kNumbersWanted, "row {} of '{}' holds {}", row, name_, item);
      }
      most = std::max(most, item);
      whole = whole && item == std::floor(item);
    }
  }
  if (whole) {
    return;  // Close() sees whether they are more than 0 and 1
  }
  if (most > 1) {
    throw UserError("round them and save them as uint8",
                    "array '{}' holds numbers up to {} that are neither whole nor fractions of 1",
                    name_, most);
  }
  scale_ = kWhite;
  notes_.push_back(fmt::format("'{}' holds fractions from 0 to 1: taken times 255", name_));
}

void NpzStates::Next(std::span<uint8_t> frames) {
  HID_CHECK(frames.size() == items_.size(), "{} bytes for a row", frames.size());
  ReadRow(bytes_);
  const bool plain = header_.kind == 'u' && header_.item_bytes == 1;
  if (!plain) {
    formats::DecodeNpyItems(header_, bytes_, items_.data());
  }
  for (size_t i = 0; i < frames.size(); ++i) {
    const uint8_t gray = plain ? bytes_[i] : static_cast<uint8_t>(std::lround(items_[i] * scale_));
    frames[places_.empty() ? i : places_[i]] = gray;
    brightest_ = std::max(brightest_, gray);
  }
}

void NpzStates::Close() {
  if (!turned_) {
    archive_.Close();
  }
  if (brightest_ <= 1) {
    throw UserError(kNumbersWanted,
                    "array '{}' holds nothing but {}: nearly black pictures, or black and white",
                    name_, brightest_ == 0 ? "0" : "0 and 1");
  }
}

}  // namespace hidreamer::data
