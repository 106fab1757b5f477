// dream_strip RUN FILE.png: plays RUN's game with the agent that learned it, dreams beside it, and
// draws both as a strip: above the game through its codes, below the dream, which sees no frame
// after the first.
#include <hidreamer/agent/dream_game.h>
#include <hidreamer/agent/load_agent.h>
#include <hidreamer/base/error.h>
#include <hidreamer/base/files.h>
#include <hidreamer/env/registry.h>
#include <hidreamer/report/image.h>

#include <cstdio>
#include <vector>

using namespace hidreamer;

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "dream_strip RUN FILE.png\n");
    return 2;
  }
  const auto agent = agent::LoadAgent(argv[1], /*game=*/"");
  agent::DreamGame both(agent, env::MakeEnvironment(agent->game(), "atari100k"));
  both.Begin(/*seed=*/1, /*lead=*/8);
  std::vector<report::Image> game, dream;
  for (int step = 0; step < 12 && !both.now().game_over; ++step) {
    both.Step(agent::Pilot::kActorInDream, /*action=*/-1, /*temperature=*/0.5);
    game.push_back(report::ImageOf(both.now().game.picture));
    dream.push_back(report::ImageOf(both.now().dream.picture));
    std::printf("step %2d: %-6s score %4.1f, dreamed %4.1f\n", step,
                both.spec().action_names[static_cast<size_t>(both.now().action)].c_str(),
                both.now().game.score, both.now().dream.score);
  }
  const auto columns = static_cast<int64_t>(game.size());
  game.insert(game.end(), dream.begin(), dream.end());
  WriteFileAtomically(argv[2], report::EncodePng(report::Tile(game, columns, /*gap=*/2)));
  return 0;
} catch (const Error& error) {
  std::fprintf(stderr, "error: %s\nhint: %s\n", error.what(), error.hint().c_str());
  return 2;
}
