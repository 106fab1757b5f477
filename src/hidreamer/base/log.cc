#include "hidreamer/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>

namespace hidreamer {

void InitializeLog(bool verbose) {
  auto logger = spdlog::get("hidreamer");
  if (!logger) {
    logger = spdlog::stderr_color_st("hidreamer");
  }
  logger->set_pattern("%^%v%$");
  logger->set_level(verbose ? spdlog::level::debug : spdlog::level::info);
  spdlog::set_default_logger(logger);
}

}  // namespace hidreamer
