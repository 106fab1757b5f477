#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace hidreamer {

// A small random generator: xoshiro256** seeded through SplitMix64 (Blackman and Vigna, 2018). Its
// draws are defined by this project alone, not by the standard library, so the same seed gives the
// same data everywhere.
class Rng {
 public:
  explicit Rng(uint64_t seed);

  uint64_t Next();
  // Uniform in [0, bound), bound >= 1, without bias.
  int64_t UniformInt(int64_t bound);
  // Uniform in [0, 1).
  double Uniform();
  bool Bernoulli(double probability) { return Uniform() < probability; }
  // A uniformly random order of 0..n-1.
  std::vector<int64_t> Permutation(int64_t n);

 private:
  uint64_t state_[4];
};

// Every random choice draws from a named stream of one root seed: SeedTree(7).Stream("env/3") is
// the same number in every run, and adding a stream never moves another. A draw at training step s
// uses Stream(name, s): nothing has to be saved to resume.
class SeedTree {
 public:
  explicit SeedTree(uint64_t root) : root_(root) {}

  uint64_t root() const { return root_; }
  uint64_t Stream(std::string_view name, uint64_t index = 0) const;
  Rng Generator(std::string_view name, uint64_t index = 0) const {
    return Rng(Stream(name, index));
  }
  SeedTree Subtree(std::string_view name) const { return SeedTree(Stream(name)); }

 private:
  uint64_t root_;
};

}  // namespace hidreamer
