#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hidreamer/base/memory.h"
#include "hidreamer/data/npz_archive.h"

namespace hidreamer::data {

// The pictures of an .npz recording, row by row as u8 (depth, 84, 84), oldest first. Taken are
// stacks of four (N,4,84,84) or (N,84,84,4) and single frames (N,84,84), (N,1,84,84) or
// (N,84,84,1), as whole numbers from 0 to 255 of any type or as fractions from 0 to 1.
class NpzStates {
 public:
  // Opens the array. Numbers that are not u8 are looked through first, to know their scale. Throws
  // a user Error for other shapes and numbers, and for an array in Fortran order, which has to be
  // turned in memory, that is too large for that.
  NpzStates(NpzArchive& archive, const std::string& name);

  int64_t rows() const { return header_.shape[0]; }
  int64_t depth() const { return depth_; }  // 4 or 1
  // The next row, (depth, 84, 84).
  void Next(std::span<uint8_t> frames);
  // Ends the array. Throws a user Error if it is damaged or holds no pictures.
  void Close();
  // What was made of the array, where it is not as wanted; each a sentence.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  void FindLayout();
  void Transpose();
  void FindScale();
  void Rewind();
  void ReadRow(std::span<uint8_t> bytes);

  NpzArchive& archive_;
  std::string name_;
  formats::NpyHeader header_;
  int64_t depth_ = 0;
  std::vector<uint32_t> places_;  // of a row's items in (depth, 84, 84); empty: as they come
  double scale_ = 1;
  uint8_t brightest_ = 0;
  std::optional<LazyMemory> turned_;  // the rows of an array in Fortran order
  int64_t next_row_ = 0;
  std::vector<uint8_t> bytes_;
  std::vector<double> items_;
  std::vector<std::string> notes_;
};

}  // namespace hidreamer::data
