#include "hidreamer/agent/policy_trainer.h"

#include <gtest/gtest.h>

#include <thread>

#include "hidreamer/agent/observation.h"
#include "hidreamer/config/load.h"

namespace hidreamer::agent {
namespace {

// Three parts of dreams.
config::Config SmallPolicyConfig() {
  config::Config config = config::Preset("test");
  config.policy.batch = 150;
  config.policy.horizon = 3;
  return config;
}

class PolicyTrainerTest : public ::testing::Test {
 protected:
  PolicyTrainerTest() {
    Rng rng(3);
    std::vector<uint8_t> frame(kObservationBytes);
    for (int64_t step = 0; step < 40; ++step) {
      for (int64_t stream = 0; stream < 2; ++stream) {
        for (uint8_t& pixel : frame) {
          pixel = static_cast<uint8_t>(rng.UniformInt(256));
        }
        replay_.Append(stream, {.frame = frame,
                                .action = static_cast<int>(rng.UniformInt(3)),
                                .reward = step % 5 == 0 ? 1.0f : 0.0f,
                                .first = step == 0});
      }
    }
    reader_.Follow();
  }

  // What two updates leave behind; each worked on by so many threads.
  struct Outcome {
    nlohmann::json figures;
    formats::TensorMap state;
  };
  Outcome AfterTwoUpdates(int threads) {
    const config::Config config = SmallPolicyConfig();
    torch::manual_seed(4);
    AgentModels models(OptionsOf(config, 3));
    models->eval();
    PolicyTrainer trainer(models, config, SeedTree(5), layers::Precision::kF32, torch::kCPU);
    Outcome outcome;
    for (int64_t update = 0; update < 2; ++update) {
      trainer.Begin(models, reader_, update, 10);
      EXPECT_EQ(trainer.parts(), 3);
      std::vector<std::thread> workers;
      for (int i = 1; i < threads; ++i) {
        workers.emplace_back([&] {
          at::set_num_threads(1);
          trainer.Work(1);
        });
      }
      trainer.Work(1);
      for (auto& worker : workers) {
        worker.join();
      }
      outcome.figures = trainer.Finish().Read();
    }
    outcome.state = formats::NamedState(*models);
    formats::InsertWithPrefix(outcome.state, trainer.State(), "trainer.");
    return outcome;
  }

  data::ReplayBuffer replay_{{.streams = 2, .frame_bytes = kObservationBytes}};
  ReplayReader reader_{replay_, torch::kCPU};
};

TEST_F(PolicyTrainerTest, WhatIsLearnedDoesNotDependOnWhoDreams) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Outcome alone = AfterTwoUpdates(1), together = AfterTwoUpdates(3);
  at::set_num_threads(threads);
  EXPECT_EQ(alone.figures, together.figures);
  for (const char* figure : {"return", "dream_reward", "entropy", "actor_loss", "critic_loss",
                             "value", "return_scale", "actor_grad_norm"}) {
    EXPECT_TRUE(alone.figures.contains(figure)) << figure;
  }
  ASSERT_EQ(alone.state.size(), together.state.size());
  for (const auto& [name, tensor] : alone.state) {
    EXPECT_TRUE(tensor.equal(together.state.at(name))) << name;
  }
}

}  // namespace
}  // namespace hidreamer::agent
