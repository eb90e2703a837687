#pragma once
// How a node tells the hub: the app puts the beacon's spool behind it. Inside the Tx that decided to tell.
#include <functional>
#include <string_view>

#include "base/ids.hpp"
#include "event/tlp.hpp"
#include "store/state.hpp"

namespace bavn::notice {

using Tell = std::function<Result<void>(store::Tx&, std::string_view kind, std::string_view json, MunicipalityId of,
                                        event::Tlp tlp)>;

}  // namespace bavn::notice
