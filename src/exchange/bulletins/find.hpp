#pragma once
// Observables in a text that a person wrote or pasted, each with its place. Defanged ones too, inside Markdown too. Finds more than there is
// to find: a person confirms. Thread rules: plain functions.
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "event/observable.hpp"

namespace bavn::exchange {

struct FoundAt {
  event::Observable what{};
  std::size_t from = 0, to = 0;  // bytes
};

constexpr std::size_t kMostFound = 5'000;  // places of one text

std::vector<FoundAt> find_observables(std::string_view text);
/// The words before and behind a place, on one line, cut where characters end.
std::string around(std::string_view text, std::size_t from, std::size_t to, std::size_t each = 60);

}  // namespace bavn::exchange
