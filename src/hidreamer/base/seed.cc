#include "hidreamer/base/seed.h"

#include <bit>
#include <numeric>

#include "hidreamer/base/error.h"

namespace hidreamer {
namespace {

uint64_t SplitMix64(uint64_t& state) {
  uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) {
    word = SplitMix64(seed);
  }
}

uint64_t Rng::Next() {
  const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = std::rotl(state_[3], 45);
  return result;
}

int64_t Rng::UniformInt(int64_t bound) {
  HID_CHECK(bound >= 1, "bound = {}", bound);
  const auto n = static_cast<uint64_t>(bound);
  const uint64_t threshold = (0 - n) % n;  // draws below it would favour small values
  uint64_t draw = Next();
  while (draw < threshold) {
    draw = Next();
  }
  return static_cast<int64_t>(draw % n);
}

double Rng::Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

std::vector<int64_t> Rng::Permutation(int64_t n) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (int64_t i = n - 1; i > 0; --i) {
    std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(UniformInt(i + 1))]);
  }
  return order;
}

uint64_t SeedTree::Stream(std::string_view name, uint64_t index) const {
  uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a of the name
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  uint64_t state = root_;
  state = SplitMix64(state) ^ hash;
  state = SplitMix64(state) ^ index;
  return SplitMix64(state);
}

}  // namespace hidreamer
