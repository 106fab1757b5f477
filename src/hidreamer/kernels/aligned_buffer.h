#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace hidreamer::kernels {

// Room for numbers, from the start of a cache's line on: vectors and tiles that are read from it
// lie in one line each. It is not set to 0.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(int64_t count) { Room(count); }

  // For at least `count` numbers; what it held is lost where it must grow.
  T* Room(int64_t count) {
    if (count > count_) {
      numbers_.reset(
          static_cast<T*>(::operator new(static_cast<size_t>(count) * sizeof(T), kLine)));
      count_ = count;
    }
    return numbers_.get();
  }
  T* data() { return numbers_.get(); }
  const T* data() const { return numbers_.get(); }

 private:
  static constexpr std::align_val_t kLine{64};
  struct Free {
    void operator()(T* numbers) const { ::operator delete(numbers, kLine); }
  };

  std::unique_ptr<T, Free> numbers_;
  int64_t count_ = 0;
};

}  // namespace hidreamer::kernels
