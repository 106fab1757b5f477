#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A reader of Python's pickle format. It builds a description of the data and nothing else: no
// global of a pickle is ever looked up or called. What is not plain data or a tensor becomes an
// object of which only the name of its class and its parts are known.
namespace hidreamer::formats {

struct PickleNode {
  enum class Kind {
    kNone,
    kBool,     // integer
    kInt,      // integer
    kFloat,    // real
    kString,   // text; bytes too
    kList,     // items; tuples and sets too
    kDict,     // items: key, value, key, value, …
    kGlobal,   // text "module name"
    kStorage,  // items of the persistent id: "storage", global, key, location, element count
    kTensor,   // items: storage, offset, sizes, strides, …
    kObject,   // anything else: text "module name" of what makes it; items: what it is made from
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double real = 0;
  std::string text;
  std::vector<const PickleNode*> items;
};

struct Pickle {
  std::deque<PickleNode> nodes;  // owns every node; nodes may refer to each other in any way
  const PickleNode* root = nullptr;
  size_t size = 0;  // bytes read; others may follow
};

// Throws a user Error for a malformed pickle; `source` names the file in the message.
Pickle ReadPickle(std::string_view bytes, const std::string& source);

}  // namespace hidreamer::formats
