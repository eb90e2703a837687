#pragma once
// How partners write the Traffic Light Protocol: STIX marking-definition ids of both generations, and MISP tags.
// Thread rules: plain functions.
#include <span>
#include <string>
#include <string_view>

#include "event/tlp.hpp"

namespace bavn::exchange {

/// The id of the marking-definition for TLP 2.0 (FIRST's extension to STIX 2.1, the ids that misp-stix uses).
std::string_view stix_marking(event::Tlp tlp);
/// The id of STIX 2.1's own marking-definition of TLP 1 (section 7.2.1.4); for amber+strict, which it does not have, that of red: never wider.
std::string_view stix_marking_tlp1(event::Tlp tlp);
/// By an id of either generation; an id that is not known is red.
event::Tlp tlp_of_stix_marking(std::string_view id);
/// Is it one of the nine ids above?
bool is_tlp_marking(std::string_view id);
/// The narrowest of an object's markings; `otherwise` when it has none of any kind.
event::Tlp tlp_of_markings(std::span<const std::string> ids, event::Tlp otherwise);

/// "tlp:amber+strict"; white is written as clear.
std::string misp_tag(event::Tlp tlp);
/// The narrowest of the tags of the tlp taxonomy among these ("tlp:white" is clear; what that taxonomy does not have is red); `otherwise`
/// when no tag is of it. "tlp:ex:chr" (Chatham House) is amber, "tlp:unclear" is red.
event::Tlp tlp_of_misp_tags(std::span<const std::string> tags, event::Tlp otherwise);

}  // namespace bavn::exchange
