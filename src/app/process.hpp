#pragma once
// What a long-running process tells and owes its surroundings: readiness and life to systemd, and giving up root.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::app {

/// sd_notify(3): "READY=1", "WATCHDOG=1", "STOPPING=1". Nothing happens where nobody listens ($NOTIFY_SOCKET).
void tell_systemd(std::string_view state);

/// Becomes this user for good: groups, then gid, then uid. Only as root; not_found: there is no such user.
Result<void> become(const std::string& user);

/// Makes a system user without login for a guest and gives it the folder. Only as root.
Result<void> make_guest_user(const std::string& user, const std::string& folder);

/// The path of this program, as it was started.
std::string program_path();

}  // namespace bavn::app
