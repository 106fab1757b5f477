#pragma once

namespace hidreamer {

// Ctrl-C and SIGTERM set a flag; long loops ask for it at points from which the work can go on. A
// second Ctrl-C ends at once.
void InstallInterruptHandler();
bool InterruptRequested();
// Sets or clears the flag (tests).
void SetInterruptRequested(bool requested);

}  // namespace hidreamer
