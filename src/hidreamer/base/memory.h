#pragma once

#include <cstddef>
#include <cstdint>

namespace hidreamer {

int64_t MemoryOfMachine();  // bytes

// Zeros that take memory from the system only where they are written to, and give it back.
class LazyMemory {
 public:
  LazyMemory() = default;
  explicit LazyMemory(size_t size);
  ~LazyMemory();
  LazyMemory(LazyMemory&& other) noexcept;
  LazyMemory& operator=(LazyMemory&& other) noexcept;
  LazyMemory(const LazyMemory&) = delete;
  LazyMemory& operator=(const LazyMemory&) = delete;

  uint8_t* data() const { return data_; }

 private:
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace hidreamer
