#pragma once

#include "hidreamer/parity/parity.h"
#include "hidreamer/world_model/world_model.h"

namespace hidreamer::parity {

// The recorded world model: built from the component's configuration, with its weights.
world_model::WorldModel LoadRecordedWorldModel(const ParityComponent& component);

}  // namespace hidreamer::parity
