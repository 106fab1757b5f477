// The program `hidreamer`: sets what libraries read when they are loaded, then becomes
// hidreamer-program, which lies beside it. Links none of them, so this takes a millisecond.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <system_error>

int main(int, char** argv) {
  // OpenMP's threads wait for each other in a busy loop by default. Beside any other work on the
  // same cores that costs more than the computation: on 2 cores a training step beside a compiler
  // took 4 times as long, two runs side by side 6 times. Without it a thread must be woken for each
  // product, which costs a tenth of a dream. So: for some 30 us, which is what that takes
  // (docs/performance.md, "Waiting threads"). The user's own settings stay.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    ::setenv("GOMP_SPINCOUNT", "3000", /*replace=*/0);
  }
  // Memory in pages of 2 MB where the system gives them when asked: addresses of tensors are found
  // sooner, 2 to 4 % of a training step or a dream.
  ::setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", /*replace=*/0);
  std::error_code error;
  const auto program =
      std::filesystem::read_symlink("/proc/self/exe", error).replace_filename("hidreamer-program");
  ::execv(program.c_str(), argv);
  std::cerr << "error: " << program << ": " << std::generic_category().message(errno)
            << "\nhint: both programs must lie in the same folder; build them again\n";
  return 2;
}
