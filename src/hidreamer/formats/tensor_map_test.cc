#include "hidreamer/formats/tensor_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hidreamer/base/error.h"

namespace hidreamer::formats {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;

// A linear layer (3 -> 2) and a buffer.
struct TinyImpl : torch::nn::Module {
  TinyImpl() {
    linear = register_module("linear", torch::nn::Linear(3, 2));
    count = register_buffer("count", torch::zeros({4}, torch::kInt64));
  }
  torch::nn::Linear linear{nullptr};
  torch::Tensor count;
};
TORCH_MODULE(Tiny);

std::string MessageOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::kUser);
    return error.what();
  }
  return "no error";
}

TEST(TensorMap, NamedStateHoldsParametersAndBuffersAndSharesStorage) {
  Tiny module;
  const TensorMap state = NamedState(*module, "model.");
  EXPECT_THAT(
      state, ElementsAre(Key("model.count"), Key("model.linear.bias"), Key("model.linear.weight")));
  EXPECT_EQ(state.at("model.linear.bias").data_ptr(), module->linear->bias.data_ptr());
  EXPECT_FALSE(state.at("model.linear.bias").requires_grad());
}

TEST(TensorMap, LoadsWhatWasSavedAndKeepsTheModulesTensors) {
  Tiny source, target;
  source->count.fill_(7);
  void* const storage = target->linear->weight.data_ptr();
  LoadNamedState(*target, NamedState(*source, "model."), "model.");
  EXPECT_TRUE(torch::equal(source->linear->weight, target->linear->weight));
  EXPECT_TRUE(torch::equal(source->count, target->count));
  EXPECT_EQ(target->linear->weight.data_ptr(), storage);
  EXPECT_TRUE(target->linear->weight.requires_grad());
}

TEST(TensorMap, ConvertsFloatingTypes) {
  Tiny source, target;
  TensorMap state = NamedState(*source);
  state["linear.weight"] = state["linear.weight"].to(torch::kFloat16);
  LoadNamedState(*target, state);
  EXPECT_EQ(target->linear->weight.scalar_type(), torch::kFloat32);
  EXPECT_TRUE(torch::allclose(source->linear->weight, target->linear->weight, 0, 1e-3));
}

TEST(TensorMap, ListsEverythingThatDiffersAndChangesNothing) {
  Tiny module;
  const torch::Tensor before = module->linear->weight.detach().clone();
  TensorMap state = NamedState(*module);
  state.erase("linear.bias");
  state["linear.weight"] = torch::zeros({5, 3});
  state["extra"] = torch::zeros({1});
  state["count"] = torch::zeros({4});
  const std::string message = MessageOf([&] { LoadNamedState(*module, state); });
  EXPECT_THAT(message, HasSubstr("missing linear.bias (2)"));
  EXPECT_THAT(message, HasSubstr("linear.weight is (5, 3), expected (2, 3)"));
  EXPECT_THAT(message, HasSubstr("unexpected extra (1)"));
  EXPECT_THAT(message, HasSubstr("count has another kind of number"));
  EXPECT_TRUE(torch::equal(before, module->linear->weight));
}

TEST(TensorMap, PrefixesComeOffAndOn) {
  const TensorMap map = {{"a.x", torch::ones({1})}, {"ab", torch::ones({1})}};
  const TensorMap inner = WithoutPrefix(map, "a.");
  EXPECT_THAT(inner, ElementsAre(Key("x")));
  TensorMap outer;
  InsertWithPrefix(outer, inner, "b.");
  EXPECT_THAT(outer, ElementsAre(Key("b.x")));
  EXPECT_THROW(InsertWithPrefix(outer, inner, "b."), Error);
}

TEST(TensorMap, CountsParametersButNotBuffers) { EXPECT_EQ(CountParameters(*Tiny()), 3 * 2 + 2); }

}  // namespace
}  // namespace hidreamer::formats
