#include "hidreamer/training/process_group.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "hidreamer/base/error.h"
#include "hidreamer/base/interrupt.h"

namespace hidreamer::training {
namespace {

constexpr const char* kVariables[] = {
    "WORLD_SIZE",   "RANK",        "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK",
    "PMI_SIZE",     "PMI_RANK",    "SLURM_NTASKS",         "SLURM_STEP_NUM_TASKS",
    "SLURM_PROCID", "MASTER_PORT", "MASTER_ADDR",          "SLURM_STEP_TASKS_PER_NODE"};

class ProcessGroupTest : public ::testing::Test {
 protected:
  ProcessGroupTest() { Clear(); }
  ~ProcessGroupTest() override {
    Clear();
    SetInterruptRequested(false);
  }
  static void Clear() {
    for (const char* name : kVariables) {
      ::unsetenv(name);
    }
  }
  // Message and hint of the user error.
  static std::string ErrorOfPlace() {
    try {
      ProcessGroup::PlaceFromEnvironment();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), Error::Kind::kUser);
      return std::string(error.what()) + " | " + error.hint();
    }
    return "no error";
  }
};

TEST_F(ProcessGroupTest, IsOfOneWhereNobodyStartedSeveral) {
  EXPECT_EQ(ProcessGroup::FromEnvironment().size(), 1);
  ::setenv("WORLD_SIZE", "1", 1);
  EXPECT_EQ(ProcessGroup::FromEnvironment().size(), 1);
}

TEST_F(ProcessGroupTest, IsOfOneInASlurmBatchScript) {
  ::setenv("SLURM_NTASKS", "4", 1);
  EXPECT_EQ(ProcessGroup::FromEnvironment().size(), 1);
  ::setenv("SLURM_PROCID", "0", 1);  // as in a batch script
  EXPECT_EQ(ProcessGroup::FromEnvironment().size(), 1);
}

TEST_F(ProcessGroupTest, TakesItsPlaceFromTheLauncher) {
  ::setenv("SLURM_NTASKS", "8", 1);
  ::setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  ::setenv("SLURM_PROCID", "3", 1);
  ::setenv("SLURM_STEP_TASKS_PER_NODE", "2(x2)", 1);
  const auto slurm = ProcessGroup::PlaceFromEnvironment();
  EXPECT_EQ(slurm.size, 4);
  EXPECT_EQ(slurm.rank, 3);
  EXPECT_EQ(slurm.variable, "SLURM_STEP_NUM_TASKS");
  EXPECT_EQ(ProcessGroup::ProcessesHere(), 2);
  ::setenv("WORLD_SIZE", "2", 1);
  ::setenv("RANK", "1", 1);
  EXPECT_EQ(ProcessGroup::PlaceFromEnvironment().variable, "WORLD_SIZE");
}

TEST_F(ProcessGroupTest, NamesTheVariableThatDoesNotFit) {
  ::setenv("WORLD_SIZE", "2", 1);
  EXPECT_EQ(ErrorOfPlace(),
            "WORLD_SIZE = 2 asks for 2 processes, but RANK is not set | torchrun, "
            "mpirun and srun set both; unset WORLD_SIZE to train with one process");
  ::setenv("RANK", "2", 1);
  EXPECT_NE(ErrorOfPlace().find("RANK is 2, not 0 to 1"), std::string::npos) << ErrorOfPlace();
  for (const char* wrong : {"two", "2x", "2.5"}) {
    ::setenv("WORLD_SIZE", wrong, 1);
    EXPECT_NE(ErrorOfPlace().find("is not a whole number"), std::string::npos) << wrong;
  }
}

TEST_F(ProcessGroupTest, WaitsNoLongerThanToTheFirstSignal) {
  ::setenv("WORLD_SIZE", "2", 1);
  ::setenv("MASTER_PORT", "29731", 1);
  SetInterruptRequested(true);
  for (const char* rank : {"0", "1"}) {
    ::setenv("RANK", rank, 1);
    EXPECT_THROW(ProcessGroup::FromEnvironment(), Interrupted) << rank;
  }
}

}  // namespace
}  // namespace hidreamer::training
