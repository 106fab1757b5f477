#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// A reader of the part of Python's pickle format that PyTorch state dicts are made of. It builds a
// description of the data and nothing else: no global of a pickle is ever looked up or called, and
// a pickle that names one outside a short list is refused.
namespace hidreamer::nn {

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
    kOpaque,   // something harmless that holds no tensor, such as a numpy scalar
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
};

// Throws a user Error for a malformed pickle or one that names a refused global; `source` names the
// file in the message.
Pickle ReadPickle(std::string_view bytes, const std::string& source);

}  // namespace hidreamer::nn
