#pragma once
// Who asks in MISP's language, and what they may see of it: the one place that says so, for single things and for searches.
// Life: a value of one request. Thread rules: plain values.
#include <cstdint>
#include <string>
#include <vector>

#include "event/scope.hpp"
#include "exchange/peers/partner.hpp"

namespace bavn::exchange::misp {

struct Viewer {
  std::string who{};      // Scope::who()
  std::int64_t peer = 0;  // of exchange_peer; 0: one of ours
  std::string name{};     // of the partner, or of our own organisation
  bool reads = false, writes = false, publishes = false;
  event::Tlp ceiling = event::Tlp::clear;
  std::vector<std::string> kinds{}, sectors{};  // of a partner

  static Viewer of(const event::Scope& scope, std::string_view own_name);
  static Viewer of(const Partner& partner);
  bool partner() const { return peer != 0; }
  /// Of observables; a type that is no observable may be had.
  bool may_have_type(std::string_view misp_type) const;
};

/// Conditions on misp_event e and misp_attribute a (or misp_object o); they read :q, a JSON object with viewer_json() in "v".
std::string event_visible(const Viewer& v);
/// Of a sighting; of what members saw, what is not for partners.
std::string sighting_visible(const Viewer& v, std::string_view alias);
std::string part_visible(const Viewer& v, std::string_view alias, bool has_tlp);
std::string viewer_json(const Viewer& v);

/// "health" of misp-galaxy:sector="Health" and the like: whoever has none of these sectors does not get the event.
std::vector<std::string> sectors_of_tags(const std::vector<std::string>& tags);

}  // namespace bavn::exchange::misp
