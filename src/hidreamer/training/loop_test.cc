#include "hidreamer/training/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>

#include "hidreamer/base/error.h"
#include "hidreamer/base/files.h"
#include "hidreamer/base/interrupt.h"
#include "hidreamer/base/json_lines.h"
#include "hidreamer/base/seed.h"
#include "hidreamer/formats/safetensors.h"
#include "hidreamer/training/checkpoint.h"
#include "hidreamer/training/optimizer.h"

namespace hidreamer::training {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Fits a linear map with dropout to random targets; random by update index, as learners are.
class LinearLearner : public Learner {
 public:
  explicit LinearLearner(int64_t updates = 40) : updates_(updates) {
    torch::manual_seed(3);
    linear_ = torch::nn::Linear(6, 4);
    adam_ = std::make_unique<Adam>(NamedParameters(*linear_), AdamOptions{});
  }
  std::string name() const override { return "linear"; }
  int64_t total_updates() const override { return updates_; }
  int64_t updates_per_epoch() const override { return 10; }

  Metrics Update(int64_t update) override {
    if (update == kill_at) {
      ::kill(::getpid(), SIGKILL);
    }
    if (update == interrupt_at) {
      SetInterruptRequested(true);
    }
    torch::manual_seed(SeedTree(9).Stream("linear", static_cast<uint64_t>(update)));
    const torch::Tensor x = torch::randn({8, 6});
    adam_->ZeroGrad();
    const torch::Tensor y = torch::dropout(linear_->forward(x), 0.2, true);  // (8, 4)
    const torch::Tensor loss = (y - x.narrow(1, 0, 4)).square().mean();
    loss.backward();
    adam_->Step(lr);
    if (update == interrupt_within) {
      throw Interrupted();
    }
    if (update == blow_up_at) {
      torch::NoGradGuard no_grad;
      linear_->weight.fill_(std::numeric_limits<float>::infinity());
    }
    Metrics metrics;
    metrics.Add("loss",
                update == nan_at ? std::numeric_limits<double>::quiet_NaN() : loss.item<double>());
    return metrics;
  }
  nlohmann::json EndEpoch(int64_t epoch) override {
    if (epoch == interrupt_epoch) {
      throw Interrupted();
    }
    return {{"norm", 1.0}, {"validation_loss", epoch == nan_epoch ? std::nan("") : 0.5}};
  }
  formats::TensorMap BatchOf(int64_t update) override {
    return {{"x", torch::full({2}, static_cast<double>(update))}};
  }
  formats::TensorMap State() const override {
    formats::TensorMap state = formats::NamedState(*linear_, "model.");
    formats::InsertWithPrefix(state, adam_->State(), "optimizer.");
    return state;
  }
  void LoadState(const formats::TensorMap& state) override {
    formats::LoadNamedState(*linear_, state, "model.");
    adam_->LoadState(formats::WithoutPrefix(state, "optimizer."));
  }

  int64_t kill_at = -1;
  int64_t interrupt_at = -1;
  int64_t nan_at = -1;
  int64_t blow_up_at = -1;        // weights become infinite while the loss is sound
  int64_t interrupt_within = -1;  // as a long update may be
  int64_t interrupt_epoch = -1, nan_epoch = -1;
  double lr = 1e-2;

 private:
  int64_t updates_;
  torch::nn::Linear linear_{nullptr};
  std::unique_ptr<Adam> adam_;
};

class TrainingLoop : public ::testing::Test {
 protected:
  static constexpr const char* kRoot = "HID_TRAINING_LOOP_TEST_ROOT";

  void SetUp() override {
    torch::set_num_threads(1);
    // A program that a test starts anew works in the directory of the one that started it.
    if (const char* shared = std::getenv(kRoot); shared != nullptr) {
      root_ = shared;
      return;
    }
    root_ = fs::temp_directory_path() / ("hid_train_" + std::to_string(::getpid()));
    ::setenv(kRoot, root_.c_str(), 1);
    fs::remove_all(root_);
  }
  void TearDown() override {
    ::unsetenv(kRoot);
    SetInterruptRequested(false);
    fs::remove_all(root_);
  }

  TrainingOptions Options(const std::string& name, double checkpoint_seconds = 1e6) const {
    return {.directory = root_ / name,
            .checkpoint_seconds = checkpoint_seconds,
            .identity = {{"config", "1234"}},
            .metadata = {{"width", "6"}}};
  }
  std::string Model(const std::string& name) const {
    return ReadFile(root_ / name / "model.safetensors");
  }
  std::string WholeModel() const {
    LinearLearner learner;
    Train(learner, Options("whole"));
    return Model("whole");
  }
  // "step" of each record, without the wall-clock times, which differ.
  std::vector<nlohmann::json> Records(const std::string& name) const {
    std::vector<nlohmann::json> records = ReadJsonLines(root_ / name / "metrics.jsonl");
    for (nlohmann::json& record : records) {
      record.erase("time");
    }
    return records;
  }

  fs::path root_;
};

TEST_F(TrainingLoop, WritesTheModelAndTheMetrics) {
  LinearLearner learner;
  const TrainingResult result = Train(learner, Options("a"));
  EXPECT_EQ(result.updates, 40);
  const formats::SafetensorsFile model =
      formats::LoadSafetensors(root_ / "a" / "model.safetensors");
  EXPECT_EQ(model.tensors.size(), 2u);
  EXPECT_TRUE(model.tensors.contains("weight"));
  EXPECT_EQ(model.metadata.at("width"), "6");
  const std::vector<nlohmann::json> records = Records("a");
  ASSERT_EQ(records.size(), 44u);
  EXPECT_EQ(records[10]["epoch"], 1);
  EXPECT_EQ(records[10]["step"], 10);
  EXPECT_LT(records[42]["loss"], records[0]["loss"]);
}

TEST_F(TrainingLoop, EndsAShorterLastEpochToo) {
  LinearLearner learner(15);
  Train(learner, Options("a"));
  const std::vector<nlohmann::json> records = Records("a");
  EXPECT_EQ(records.back()["epoch"], 2);
  EXPECT_EQ(records.back()["step"], 15);
  EXPECT_EQ(records.back()["norm"], 1.0);
}

TEST_F(TrainingLoop, AnInterruptedRunGoesOnToTheBit) {
  const std::string whole = WholeModel();
  LinearLearner first;
  first.interrupt_at = 16;
  EXPECT_THROW(Train(first, Options("halves")), Interrupted);
  EXPECT_FALSE(fs::exists(root_ / "halves" / "model.safetensors"));
  SetInterruptRequested(false);
  LinearLearner second;
  EXPECT_EQ(Train(second, Options("halves")).updates, 23);
  EXPECT_EQ(Model("halves"), whole);
  EXPECT_EQ(Records("halves"), Records("whole"));
}

TEST_F(TrainingLoop, ItsTimeIsThatOfAllCalls) {
  LinearLearner first;
  first.interrupt_at = 16;
  EXPECT_THROW(Train(first, Options("a")), Interrupted);
  SetInterruptRequested(false);
  std::optional<Checkpoint> kept = LoadNewestCheckpoint(root_ / "a/checkpoints");
  ASSERT_TRUE(kept.has_value());
  EXPECT_GT(kept->seconds, 0);
  kept->seconds = 1000;  // as if it had taken so long
  SaveCheckpoint(root_ / "a/checkpoints", *kept);
  LinearLearner second;
  EXPECT_GT(Train(second, Options("a")).seconds, 1000);
}

TEST_F(TrainingLoop, AKilledRunGoesOnToTheBit) {
  // The program is started anew for each: torch 2 does not train in a fork of one that has trained.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int64_t kill_at : {0, 7, 8, 25, 39}) {
    LinearLearner learner;
    learner.kill_at = kill_at;
    EXPECT_EXIT(Train(learner, Options("killed", 0)), ::testing::KilledBySignal(SIGKILL), "")
        << kill_at;
  }
  const std::string whole = WholeModel();
  LinearLearner last;
  EXPECT_EQ(Train(last, Options("killed", 0)).updates, 1);
  EXPECT_EQ(Model("killed"), whole);
  EXPECT_EQ(Records("killed"), Records("whole"));
}

TEST_F(TrainingLoop, ADamagedCheckpointFallsBackToTheOneBefore) {
  const std::string whole = WholeModel();
  for (const char* name : {"flip", "truncate", "no_json", "bad_json"}) {
    const std::string damage = name;
    LinearLearner first;
    first.interrupt_at = 19;
    EXPECT_THROW(Train(first, Options(damage, 0)), Interrupted);
    SetInterruptRequested(false);
    const fs::path newest = root_ / damage / "checkpoints" / "step_000000020";
    if (damage == "flip") {
      std::fstream file(newest / "state.safetensors", std::ios::in | std::ios::out);
      file.seekp(-3, std::ios::end);
      file.put('\x5a');
    } else if (damage == "truncate") {
      fs::resize_file(newest / "state.safetensors", 100);
    } else if (damage == "no_json") {
      fs::remove(newest / "state.json");
    } else {
      WriteFileAtomically(newest / "state.json", "{\"updates\": \"twenty\"");
    }
    LinearLearner second;
    EXPECT_EQ(Train(second, Options(damage, 0)).updates, 21) << damage;
    EXPECT_EQ(Model(damage), whole) << damage;
  }
}

TEST_F(TrainingLoop, KeepsTheLastTwoCheckpoints) {
  LinearLearner learner;
  Train(learner, Options("a", 0));
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root_ / "a" / "checkpoints")) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre("step_000000039", "step_000000040"));
}

TEST_F(TrainingLoop, ACheckpointOfAnotherConfigIsRefused) {
  LinearLearner first;
  Train(first, Options("a", 0));
  TrainingOptions other = Options("a", 0);
  other.identity["config"] = "5678";
  LinearLearner second;
  EXPECT_THAT([&] { Train(second, other); },
              ::testing::ThrowsMessage<Error>(HasSubstr("another config")));
}

TEST_F(TrainingLoop, ACheckpointOfAnotherModelIsRefused) {
  SaveCheckpoint(root_ / "a" / "checkpoints", {.updates = 5,
                                               .state = {{"model.weight", torch::zeros({4, 5})}},
                                               .identity = {{"config", "1234"}}});
  LinearLearner learner;
  EXPECT_THROW(Train(learner, Options("a")), Error);
}

TEST_F(TrainingLoop, ALossThatIsNotANumberStopsTheRun) {
  const std::string whole = WholeModel();
  LinearLearner learner;
  learner.nan_at = 12;
  EXPECT_THAT([&] { Train(learner, Options("a", 0)); },
              ::testing::ThrowsMessage<Error>(HasSubstr("linear: loss of update 12 is NaN")));
  const fs::path saved = root_ / "a" / "nan_update_12";
  const auto description = nlohmann::json::parse(ReadFile(saved / "update.json"));
  EXPECT_EQ(description["number"], "loss");
  EXPECT_EQ(description["checkpoint"], 12);
  EXPECT_EQ(formats::LoadSafetensors(saved / "batch.safetensors").tensors.at("x")[0].item<float>(),
            12);
  // From the checkpoint before it the same training goes on.
  LinearLearner second;
  EXPECT_EQ(Train(second, Options("a", 0)).updates, 28);
  EXPECT_EQ(Model("a"), whole);
}

TEST_F(TrainingLoop, NoCheckpointHoldsNaN) {
  for (const double seconds : {0.0, 1e6}) {
    const std::string name = seconds == 0 ? "often" : "end";
    LinearLearner first(40);
    first.blow_up_at = 39;  // no update after it has a loss that tells
    EXPECT_THAT([&] { Train(first, Options(name, seconds)); },
                ::testing::ThrowsMessage<Error>(HasSubstr("model.weight of update 39")));
    EXPECT_FALSE(fs::exists(root_ / name / "model.safetensors"));
    const auto kept = LoadNewestCheckpoint(root_ / name / "checkpoints");
    EXPECT_EQ(kept.has_value() ? kept->updates : 0, seconds == 0 ? 39 : 0);
  }
}

TEST_F(TrainingLoop, AfterNaNALowerLearningRateGoesOn) {
  LinearLearner first;
  first.lr = 1e-2;
  first.interrupt_at = 9;
  EXPECT_THROW(Train(first, Options("a", 0)), Interrupted);
  SetInterruptRequested(false);
  LinearLearner second;
  second.lr = 1e30;  // the weights' squares are beyond every number
  EXPECT_THROW(Train(second, Options("a", 1e6)), Error);
  LinearLearner third;
  third.lr = 1e-3;
  EXPECT_EQ(Train(third, Options("a", 1e6)).updates, 30);
}

TEST_F(TrainingLoop, AValidationLossThatIsNotANumberStopsTheRun) {
  LinearLearner learner;
  learner.nan_epoch = 1;
  EXPECT_THAT([&] { Train(learner, Options("a")); },
              ::testing::ThrowsMessage<Error>(HasSubstr("validation_loss of update 19")));
}

TEST_F(TrainingLoop, InterruptedWhileAnEpochIsEvaluatedItGoesOnToTheBit) {
  const std::string whole = WholeModel();
  LinearLearner first;
  first.interrupt_epoch = 1;
  EXPECT_THROW(Train(first, Options("a")), Interrupted);
  EXPECT_EQ(LoadNewestCheckpoint(root_ / "a" / "checkpoints")->updates, 20);
  LinearLearner again;  // the evaluation is made up for, and interrupted again
  again.interrupt_epoch = 1;
  EXPECT_THROW(Train(again, Options("a")), Interrupted);
  LinearLearner last;
  EXPECT_EQ(Train(last, Options("a")).updates, 20);
  EXPECT_EQ(Model("a"), whole);
  EXPECT_EQ(Records("a"), Records("whole"));
}

TEST_F(TrainingLoop, InterruptedWithinAnUpdateItKeepsTheStateOfThatMoment) {
  LinearLearner first;
  first.interrupt_within = 13;
  EXPECT_THROW(Train(first, Options("a")), Interrupted);
  const auto kept = LoadNewestCheckpoint(root_ / "a" / "checkpoints");
  EXPECT_EQ(kept->updates, 13);
  EXPECT_TRUE(kept->state.at("model.weight").equal(first.State().at("model.weight")));
}

TEST_F(TrainingLoop, AFinishedStageKeepsItsLastStateWhereAsked) {
  TrainingOptions options = Options("a", 0);
  options.keep_last_state = true;
  LinearLearner first(20);
  Train(first, options);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(root_ / "a" / "checkpoints")) {
    names.push_back(entry.path().filename());
  }
  EXPECT_THAT(names, ::testing::ElementsAre("step_000000020"));
  LinearLearner longer(30);
  EXPECT_EQ(Train(longer, options).updates, 10);
  LinearLearner shorter(20);
  EXPECT_THAT([&] { Train(shorter, options); },
              ::testing::ThrowsMessage<Error>(HasSubstr("has done 30 updates")));
}

// Every checkpoint file by its bytes.
std::map<std::string, std::string> Files(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), directory)] = ReadFile(entry.path());
    }
  }
  return files;
}

TEST_F(TrainingLoop, ACheckpointThatCannotBeReadIsAnErrorAndStays) {
  LinearLearner first;
  first.interrupt_at = 19;
  EXPECT_THROW(Train(first, Options("a", 0)), Interrupted);
  SetInterruptRequested(false);
  const fs::path checkpoints = root_ / "a" / "checkpoints";
  const auto damage_all = [&](const std::string& text) {
    for (const auto& entry : fs::directory_iterator(checkpoints)) {
      WriteFileAtomically(entry.path() / "state.json", text);
    }
  };
  const auto expect_refused = [&](const std::string& reason) {
    const auto before = Files(checkpoints);
    LinearLearner learner;
    EXPECT_THAT([&] { Train(learner, Options("a", 0)); },
                ::testing::ThrowsMessage<Error>(HasSubstr(reason)));
    EXPECT_EQ(Files(checkpoints), before) << reason;
  };
  damage_all(R"({"format": 2, "updates": 20, "checksum": 1, "identity": {"config": "1234"}})");
  expect_refused("newer version");
  damage_all("{");
  expect_refused("no checkpoint can be used");
  fs::remove(checkpoints / "step_000000020" / "state.json");
  fs::create_directory(checkpoints / "step_000000020" / "state.json");
  expect_refused("is a directory");
}

TEST_F(TrainingLoop, ADamagedCheckpointIsKeptAside) {
  LinearLearner first;
  first.interrupt_at = 19;
  EXPECT_THROW(Train(first, Options("a", 0)), Interrupted);
  SetInterruptRequested(false);
  const fs::path newest = root_ / "a" / "checkpoints" / "step_000000020";
  fs::resize_file(newest / "state.safetensors", 100);
  LinearLearner second;
  EXPECT_EQ(Train(second, Options("a", 1e6)).updates, 21);
  EXPECT_EQ(fs::file_size(newest.string() + ".damaged/state.safetensors"), 100u);
}

}  // namespace
}  // namespace hidreamer::training
