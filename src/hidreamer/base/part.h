#pragma once

#include <cstdint>

namespace hidreamer {

struct Part {  // the index-th of `count` about equal ones
  int64_t index = 0, count = 1;
  int64_t Begin(int64_t size) const { return index * size / count; }
  int64_t End(int64_t size) const { return (index + 1) * size / count; }
};

}  // namespace hidreamer
