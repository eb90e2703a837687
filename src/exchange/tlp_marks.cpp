#include "exchange/tlp_marks.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.hpp"

namespace bavn::exchange {

namespace {

using event::Tlp;

struct Marking {
  Tlp tlp;
  std::string_view id;
  bool second_generation;
};

// STIX 2.1 section 7.2.1.4; the ids of TLP 2.0 as misp-stix and OASIS's extension definition have them.
constexpr std::array<Marking, 9> kMarkings{{
    {Tlp::clear, "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", true},
    {Tlp::green, "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", true},
    {Tlp::amber, "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", true},
    {Tlp::amber_strict, "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", true},
    {Tlp::red, "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", true},
    {Tlp::clear, "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", false},
    {Tlp::green, "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", false},
    {Tlp::amber, "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", false},
    {Tlp::red, "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", false},
}};

std::string_view id_of(Tlp tlp, bool second_generation) {
  const auto found = std::ranges::find_if(
      kMarkings, [&](const Marking& m) { return m.tlp == tlp && m.second_generation == second_generation; });
  return found == kMarkings.end() ? kMarkings.back().id : found->id;
}

}  // namespace

std::string_view stix_marking(Tlp tlp) {
  return id_of(tlp, true);
}
std::string_view stix_marking_tlp1(Tlp tlp) {
  return id_of(tlp, false);
}

bool is_tlp_marking(std::string_view id) {
  return std::ranges::find(kMarkings, id, &Marking::id) != kMarkings.end();
}

Tlp tlp_of_stix_marking(std::string_view id) {
  const auto found = std::ranges::find(kMarkings, id, &Marking::id);
  return found == kMarkings.end() ? Tlp::red : found->tlp;
}

Tlp tlp_of_markings(std::span<const std::string> ids, Tlp otherwise) {
  std::optional<Tlp> narrowest;
  for (const std::string& id : ids) narrowest = std::max(narrowest.value_or(Tlp::clear), tlp_of_stix_marking(id));
  return narrowest.value_or(otherwise);
}

std::string misp_tag(Tlp tlp) {
  return "tlp:" + std::string(event::to_string(tlp));
}

Tlp tlp_of_misp_tags(std::span<const std::string> tags, Tlp otherwise) {
  std::optional<Tlp> narrowest;
  for (const std::string& tag : tags) {
    if (tag.size() < 4 || to_lower(tag.substr(0, 4)) != "tlp:") continue;
    const Tlp one = to_lower(tag) == "tlp:ex:chr" ? Tlp::amber : event::parse_tlp(tag).value_or(Tlp::red);
    narrowest = std::max(narrowest.value_or(Tlp::clear), one);
  }
  return narrowest.value_or(otherwise);
}

}  // namespace bavn::exchange
