#include "app/hub_misp.hpp"

#include <algorithm>

#include "exchange/peers/desk.hpp"

namespace bavn::app {

namespace mi = match::indicators;
using event::Right;

Result<std::unique_ptr<exchange::misp::Misp>> open_misp(HubCore& hub, Runtime& runtime, const HubOptions& options) {
  // Simulations have settings of their own, without these.
  const bool has_rows = std::any_of(options.settings_table.begin(), options.settings_table.end(),
                                    [](const Setting& s) { return s.name == "misp.version"; });
  return exchange::misp::Misp::open(runtime, hub.state(),
                                    {.name = options.name.empty() ? "CERT" : options.name,
                                     .folder = options.folder,
                                     .settings = has_rows ? options.settings : nullptr});
}

Result<void> connect_misp(HubCore& hub, exchange::misp::Misp& misp, exchange::PeerDesk* desk) {
  // Who may publish was asked when the event was published; what follows from it is the program's own work.
  const auto scope = event::Scope::everywhere(
      "misp", static_cast<std::uint32_t>(Right::publish) | static_cast<std::uint32_t>(Right::indicator_write),
      event::Tlp::red);
  exchange::misp::MispLinks links;
  links.desk = desk;
  if (desk != nullptr) links.library = &desk->library();
  links.publish = [&hub, scope](std::vector<mi::Indicator> all, std::string_view name) -> Result<void> {
    BAVN_CHECK(hub.publish_indicators(scope, std::move(all), name));
    return {};
  };
  links.withdraw = [&hub, scope](std::span<const mi::Removal> all) -> Result<void> {
    for (const mi::Removal& r : all)
      if (const auto gone = hub.withdraw_indicator(scope, r); !gone && gone.error().code != Code::not_found)
        return std::unexpected(gone.error());
    return {};
  };
  return misp.connect(std::move(links));
}

}  // namespace bavn::app
