#include "hidreamer/env/vector_environment.h"

#include <algorithm>
#include <numeric>

#include "hidreamer/base/error.h"

namespace hidreamer::env {

VectorEnvironment::VectorEnvironment(int count, int threads, const Factory& factory)
    : team_(std::clamp(threads, 1, std::max(count, 1))), slots_(static_cast<size_t>(count)) {
  HID_CHECK(count >= 1, "count = {}", count);
  team_.ForEach(count,
                [&](int slot) { slots_[static_cast<size_t>(slot)].environment = factory(); });
}

void VectorEnvironment::Reset(int slot, uint64_t seed) {
  Slot& s = slots_[static_cast<size_t>(slot)];
  s.environment->Reset(seed);
  s.stack.Reset(s.environment->frame());
  s.first = true;
}

std::vector<StepResult> VectorEnvironment::Step(
    const std::vector<int>& actions,
    const std::function<void(int slot, const StepResult& result)>& after) {
  HID_CHECK(actions.size() == slots_.size(), "{} actions for {} games", actions.size(),
            slots_.size());
  std::vector<StepResult> results(actions.size());
  team_.ForEach(size(), [&](int slot) {
    const auto i = static_cast<size_t>(slot);
    if (actions[i] == kIdle) {
      return;
    }
    Slot& s = slots_[i];
    results[i] = s.environment->Step(actions[i]);
    s.stack.Push(s.environment->frame());
    s.first = false;
    if (after) {
      after(slot, results[i]);
    }
  });
  return results;
}

VectorEnvironment::Played VectorEnvironment::Play(const std::vector<int>& slots, Player& player,
                                                  std::vector<Rng>& rngs, const AfterPlay& after) {
  const std::vector<int> chosen = player.Act(Views(slots), rngs);
  HID_CHECK(chosen.size() == slots.size(), "{} actions for {} games", chosen.size(), slots.size());
  Played played{.actions = std::vector<int>(slots_.size(), kIdle), .results = {}};
  for (size_t i = 0; i < slots.size(); ++i) {
    played.actions[static_cast<size_t>(slots[i])] = chosen[i];
  }
  played.results = Step(played.actions, [&](int slot, const StepResult& result) {
    if (after) {
      after(slot, played.actions[static_cast<size_t>(slot)], result);
    }
  });
  return played;
}

std::vector<PlayerView> VectorEnvironment::Views(const std::vector<int>& slots) const {
  std::vector<PlayerView> views;
  views.reserve(slots.size());
  for (const int slot : slots) {
    const Slot& s = At(slot);
    views.push_back({.slot = slot,
                     .first = s.first,
                     .environment = s.environment.get(),
                     .stack = s.stack.data()});
  }
  return views;
}

VectorEnvironment::Played VectorEnvironment::Play(Player& player, std::vector<Rng>& rngs,
                                                  const AfterPlay& after) {
  return Play(All(), player, rngs, after);
}

std::vector<int> VectorEnvironment::All() const {
  std::vector<int> slots(slots_.size());
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

std::vector<PlayerView> VectorEnvironment::Views() const { return Views(All()); }

}  // namespace hidreamer::env
