#include "hidreamer/base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>
#include <utility>

namespace hidreamer {

int64_t MemoryOfMachine() {
  return int64_t{::sysconf(_SC_PHYS_PAGES)} * int64_t{::sysconf(_SC_PAGE_SIZE)};
}

LazyMemory::LazyMemory(size_t size) : size_(size) {
  if (size > 0) {
    void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
      throw std::bad_alloc();
    }
    data_ = static_cast<uint8_t*>(mapped);
  }
}

LazyMemory::~LazyMemory() {
  if (data_ != nullptr) {
    ::munmap(data_, size_);
  }
}

LazyMemory::LazyMemory(LazyMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

LazyMemory& LazyMemory::operator=(LazyMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace hidreamer
